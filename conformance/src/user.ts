import type { Client } from './client.js'
import type {
  Complaint,
  InputOffset,
  InputPartition,
  NewRecord,
  OpenOptions,
  PublishEachOptions,
  Settings,
} from './driver.js'
import { DriverProcess, type Outcome, type Steps } from './driver-process.js'
import type { Entry, Ledger, Said } from './ledger.js'
import { Failed, NotSupported } from './verdict.js'

export interface UserOptions extends Steps {
  readonly client: Client
  readonly ledger: Ledger
  readonly brokers: readonly string[]
  readonly transactionalId: string
  readonly transactionTimeoutMs: number
}

/** Where the records of a call go, unless each says so itself. */
export interface Place {
  readonly topic: string
  readonly partition?: number
  readonly offsets?: InputOffset
}

const triesMax = 5

/**
 * A program that uses the client as all of their documentations say: begin, send, commit; abort after an error; a new
 * producer when that fails, too. What the client says of each transaction goes into the ledger.
 */
export class User implements AsyncDisposable {
  readonly #options: UserOptions
  readonly #process: DriverProcess
  #entry: Entry | undefined
  #settings: Settings = 'usual'
  #refusal = ''
  /** Producers opened so far. */
  opened = 0

  constructor(options: UserOptions) {
    this.#options = options
    this.#process = new DriverProcess(options.client, options)
  }

  /** @throws Failed when the client refuses */
  async open(settings: Settings = this.#settings): Promise<void> {
    const { brokers, transactionalId, transactionTimeoutMs } = this.#options
    this.#settings = settings
    this.#entry = undefined
    const options: OpenOptions = { brokers, transactionalId, transactionTimeoutMs, settings }
    const complaint = complaintIn(await this.#process.ask('open', options))
    if (complaint !== undefined) throw new Failed(`a producer cannot be opened: ${describe(complaint)}`)
    this.opened++
  }

  /** Adds records to the transaction, and begins it first when there is none. Resolves with what the client complains of. */
  async produce(
    values: readonly string[],
    { topic, partition = 0, offsets }: Place,
  ): Promise<Complaint | undefined> {
    return await this.produceRecords(
      values.map((value) => ({ topic, partition, value })),
      offsets,
    )
  }

  async produceRecords(records: readonly NewRecord[], offsets?: InputOffset): Promise<Complaint | undefined> {
    this.#entry ??= this.#options.ledger.begin()
    this.#entry.values.push(...records.map(({ value }) => value))
    return complaintIn(await this.#process.ask('produce', { records, ...(offsets && { offsets }) }))
  }

  async commit(): Promise<Complaint | undefined> {
    const entry = this.#entry
    const complaint = complaintIn(await this.#process.ask('commit', undefined))
    const said =
      complaint === undefined ? 'committed' : complaint.says === 'no-answer' ? 'unknown' : 'not-committed'
    if (entry !== undefined) entry.said = said
    if (complaint === undefined) this.#entry = undefined
    return complaint
  }

  async abort(): Promise<Complaint | undefined> {
    const complaint = complaintIn(await this.#process.ask('abort', undefined))
    if (complaint !== undefined) return complaint
    if (this.#entry !== undefined) this.#entry.said = 'not-committed'
    this.#entry = undefined
    return undefined
  }

  /** After an error: abort, and a new producer when that fails, too. */
  async recover(): Promise<void> {
    if ((await this.abort()) !== undefined) await this.open()
  }

  /** One whole transaction, an error included. Resolves with what the client says of it in the end. */
  async transact(values: readonly string[], place: Place): Promise<Said> {
    const refused = (await this.produce(values, place)) ?? (await this.commit())
    if (refused === undefined) return 'committed'
    this.#refusal = describe(refused)
    const entry = this.#entry
    await this.recover()
    return entry?.said ?? 'not-committed'
  }

  /**
   * The transaction of a user who tries until it is done, with no fault at work.
   * @throws Failed when the client cannot do it any more
   */
  async transactAtLast(values: readonly string[], place: Place): Promise<void> {
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const said = await this.transact(values, place)
      if (said === 'committed') return
      if (said === 'unknown')
        throw new Failed(
          `nothing is wrong any more, and it does not know what became of a commit: ${this.#refusal}`,
        )
    }
    const refusal = this.#refusal
    await this.open()
    const goesOn = (await this.transact(values, place)) === 'committed'
    throw new Failed(
      `nothing is wrong any more, and ${triesMax} transactions in a row fail with ${refusal}; ${goesOn ? 'a new producer can go on' : 'nor can a new producer go on'}`,
    )
  }

  /** Transactions of one record each, until it is the same transactional id's turn again. */
  async untilSameId(place: Place): Promise<void> {
    for (let turn = 1; turn < this.#options.client.idsInTurn; turn++)
      await this.transactAtLast([`in turn ${this.opened}.${turn}`], place)
  }

  /** @throws Failed when one is refused */
  async publishEach(options: PublishEachOptions, withinMs: number): Promise<void> {
    const entry = this.#options.ledger.begin()
    const complaint = complaintIn(await this.#process.ask('publishEach', options, withinMs))
    if (complaint !== undefined) throw new Failed(describe(complaint))
    entry.values.push(...options.values)
    entry.said = 'committed'
  }

  async committedOffset(position: InputPartition): Promise<string | null> {
    const outcome = await this.#process.ask('committedOffset', position)
    if ('value' in outcome) return outcome.value
    if (outcome.complaint.says === 'unsupported') throw new NotSupported(outcome.complaint.message)
    throw new Failed(`its committed offset cannot be read: ${describe(outcome.complaint)}`)
  }

  pause(): void {
    this.#process.pause()
  }

  resume(): void {
    this.#process.resume()
  }

  async kill(): Promise<void> {
    await this.#process.kill()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

/** @throws NotSupported when that is what the client complains of */
function complaintIn(outcome: Outcome<unknown>): Complaint | undefined {
  if ('value' in outcome) return undefined
  if (outcome.complaint.says === 'unsupported') throw new NotSupported(outcome.complaint.message)
  return outcome.complaint
}

const messageMax = 200

/** By its class and codes, where it has any. */
export const describe = ({ name, message }: Complaint): string =>
  name === 'Error' ? message.slice(0, messageMax) : name
