/**
 * The port between the suite and a client: what a user of transactions does with it, step by step. A driver runs in a
 * process of its own ({@link serve}), so that a client that hangs or crashes ends no suite, and so that each can have the
 * Node that it needs.
 */
export interface Driver {
  /** A transactional producer; whatever was open before in this process is left behind. */
  open(options: OpenOptions): Promise<void>
  /** Resolves when all of it is acknowledged. The first call begins the transaction; `offsets` are part of it. */
  produce(content: Content): Promise<void>
  commit(): Promise<void>
  abort(): Promise<void>
  /** A transaction for each value, one after another, all committed. */
  publishEach(options: PublishEachOptions): Promise<void>
  /** Begins to read, read_committed, from the topic's beginning, and goes on until the process ends. */
  read(options: ReadOptions, onRecords: (records: readonly ReadRecord[]) => void): Promise<void>
  /** The group's committed offset as the client reads it; null when there is none. */
  committedOffset(position: InputPartition): Promise<string | null>
  close(): Promise<void>
  /** How the client's error reads to its user. */
  complaint(error: unknown): Complaint
}

export interface OpenOptions {
  readonly brokers: readonly string[]
  readonly transactionalId: string
  readonly transactionTimeoutMs: number
  readonly settings: Settings
}

/**
 * `usual`: what the report lists, the same for nearly all cases. `documented`: no more than the client's documentation
 * asks for. `back-to-back`: `usual`, with waits that suit thousands of transactions in a row.
 */
export type Settings = 'usual' | 'documented' | 'back-to-back'

export interface Content {
  readonly records: readonly NewRecord[]
  readonly offsets?: InputOffset
}

export interface NewRecord {
  readonly topic: string
  readonly partition: number
  /** Bytes as hexadecimal digits; null without. */
  readonly key?: string
  readonly value: string
  /** Dots behind the value, up to so many bytes. */
  readonly bytes?: number
  readonly timestampMs?: number
}

export interface InputPartition {
  readonly group: string
  readonly topic: string
  readonly partition: number
}

/** How far the input was read, for a transaction that takes its input's offset along. */
export interface InputOffset extends InputPartition {
  /** The next offset, in decimal digits: it may exceed what a number holds. */
  readonly offset: string
}

export interface PublishEachOptions {
  readonly topic: string
  readonly partition: number
  readonly values: readonly string[]
}

export interface ReadOptions {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly group: string
}

export interface ReadRecord {
  readonly partition: number
  readonly offset: string
  /** Without the dots behind it. */
  readonly value: string
}

/** An error of a client, as its user sees it. */
export interface Complaint {
  /** Its class and its codes: what a program can tell it by. */
  readonly name: string
  readonly message: string
  readonly says: Says
}

/**
 * What an error claims. `no-answer`: the client does not know what became of the request. `fenced`: another instance has
 * the transactional id. `torn`: a transaction that was ended is not ended everywhere. `unsupported`: the client has no such feature. `refused`: anything else, that is, it did not happen.
 */
export type Says =
  'fenced' | 'transaction-timed-out' | 'torn' | 'too-large' | 'no-answer' | 'unsupported' | 'refused'

/** Thrown by a driver whose client lacks what a step needs. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported'
}

export const unsupportedComplaint = ({ name, message }: Unsupported): Complaint => ({
  name,
  message,
  says: 'unsupported',
})
