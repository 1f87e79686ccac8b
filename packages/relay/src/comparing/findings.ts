import type { Comparison, MissingEvent } from './comparison.js'
import { partCount, Spill } from './spill.js'

/** What a comparison says of one topic, in events. */
export interface TopicFindings {
  readonly topic: string
  /** In the topic, as they should be. */
  present: number
  /** Not in the topic, for certain. */
  absent: number
  /** Those of them that were published once, for certain: the topic was created anew, or Kafka has lost them. */
  absentAfterPublication: number
  /** Published, and not in the topic any more: retention, or an earlier adoption. */
  gone: number
  /** Not found, and nobody can know whether they were there. */
  unknown: number
  deadLetters: number
  /** The first start was told to leave them out. */
  leftOut: number
}

/** An event that was not found, as it is told to somebody. */
export interface ToldEvent {
  readonly id: string
  readonly topic: string
  readonly seq: bigint
  readonly finding: 'absent' | 'unknown'
  /** For an absent one: whether it was published once. For an unknown one: why nobody can know. */
  readonly why:
    'never-published' | 'lost-by-kafka' | 'compacted' | 'not-behind-a-record' | 'no-such-partition'
}

const entryBytes = 36

/** The absent events, in parts whose sequence numbers follow each other: so each part, sorted, is the next stretch. */
export class AbsentEvents implements AsyncDisposable {
  readonly #spill: Spill
  readonly #lowest: bigint
  readonly #width: bigint

  private constructor(spill: Spill, { lowest, highest }: Comparison['seqs']) {
    this.#spill = spill
    this.#lowest = lowest
    this.#width = (highest - lowest) / BigInt(partCount) + 1n
  }

  static async create(seqs: Comparison['seqs']): Promise<AbsentEvents> {
    return new AbsentEvents(await Spill.create(entryBytes), seqs)
  }

  get count(): number {
    return this.#spill.count
  }

  add({ row }: MissingEvent): void {
    const entry = this.#spill.add(Number((row.seq - this.#lowest) / this.#width))
    row.name.copy(entry, 8, 0, 16)
    entry.writeBigInt64BE(row.seq, 0)
    entry.writeUInt32BE(row.payloadBytes, 24)
    if (row.hasKey) row.keyName.copy(entry, 28)
  }

  async written(): Promise<void> {
    await this.#spill.written()
  }

  /** In the order of their sequence numbers. */
  async *inOrder(): AsyncGenerator<AbsentEvent> {
    for (let part = 0; part < partCount; part++) {
      const bytes = await this.#spill.read(part)
      const events = Array.from({ length: bytes.length / entryBytes }, (_, index) =>
        readAbsent(bytes.subarray(index * entryBytes, (index + 1) * entryBytes)),
      )
      yield* events.sort((one, other) => (one.seq < other.seq ? -1 : 1))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spill[Symbol.asyncDispose]()
  }
}

export interface AbsentEvent {
  readonly seq: bigint
  /** Hexadecimal, without hyphens. */
  readonly id: string
  readonly payloadBytes: number
  /** Hash of topic and key; of zeros for an event without one. */
  readonly keyName: string
}

const readAbsent = (entry: Buffer): AbsentEvent => ({
  seq: entry.readBigInt64BE(0),
  id: entry.toString('hex', 8, 24),
  payloadBytes: entry.readUInt32BE(24),
  keyName: entry.toString('latin1', 28, 36),
})

export interface Tally {
  readonly topics: readonly TopicFindings[]
  readonly absent: AbsentEvents
}

/** Goes through everything that was not found, once. @param onEvent Told of each event that is absent or unknown. */
export async function tally(
  comparison: Comparison,
  onEvent: (event: ToldEvent) => void = () => undefined,
): Promise<Tally> {
  const topics = new Map<string, TopicFindings>(
    comparison.topics.map(({ name }) => [name, { ...noFindings, topic: name }]),
  )
  for (const [topic, present] of comparison.presentByTopic) {
    const found = topics.get(topic)
    if (found !== undefined) found.present = present
  }
  const absent = await AbsentEvents.create(comparison.seqs)
  for await (const missing of comparison.missing()) {
    const { row, finding, topic } = missing
    const found = topics.get(topic)
    if (found === undefined) continue
    const told = { id: row.id, topic, seq: row.seq }
    switch (finding.kind) {
      case 'absent':
        found.absent++
        if (finding.published) found.absentAfterPublication++
        absent.add(missing)
        onEvent({ ...told, finding: 'absent', why: finding.published ? 'lost-by-kafka' : 'never-published' })
        break
      case 'unknown':
        found.unknown++
        onEvent({ ...told, finding: 'unknown', why: finding.why })
        break
      case 'gone':
        found.gone++
        break
      case 'dead-letter':
        found.deadLetters++
        break
      case 'left-out':
        found.leftOut++
    }
  }
  await absent.written()
  return { topics: [...topics.values()], absent }
}

const noFindings = {
  present: 0,
  absent: 0,
  absentAfterPublication: 0,
  gone: 0,
  unknown: 0,
  deadLetters: 0,
  leftOut: 0,
}

/** The sum over all topics. */
export const sumOf = (topics: readonly TopicFindings[]): Omit<TopicFindings, 'topic'> => {
  const sum = { ...noFindings }
  for (const found of topics) for (const name of keysOf(noFindings)) sum[name] += found[name]
  return sum
}

// Object.keys forgets what it was given.
const keysOf = <Thing extends object>(thing: Thing): (keyof Thing)[] => Object.keys(thing) as (keyof Thing)[]
