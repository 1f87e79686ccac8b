import { OutboxError } from '@oncebox/core'
import { untilStable, type KafkaClient, type Receipt, type WrittenUpTo } from '@oncebox/kafka'
import type { WindowName } from '../position.js'

/** A window as the database names it. */
export type WindowKey = Pick<WindowName, 'generation' | 'epoch' | 'number'>

export interface ConfirmationParts {
  readonly kafka: KafkaClient
  /** Those of the session: an open transaction of one of them has lost its marker. */
  readonly producerIds: () => readonly bigint[]
  /** What the database knows to be confirmed. */
  readonly confirmed: WindowKey | undefined
  /** The last window whose last batch is committed in Kafka; undefined in the middle of the first. */
  readonly complete: WindowName | undefined
  /** Topics that earlier incarnations wrote to and did not prove; undefined when that is not known. */
  readonly inherited: readonly string[] | undefined
  /** The topics of all rows that the shard still has: asked for when the inherited ones are not known. */
  readonly topicsOfRows: (signal: AbortSignal) => Promise<readonly string[]>
}

// A position names its topics; one that would have to name more says that it does not know.
const topicsMax = 200
// A broker that has just started may not know a topic for a while. One that is unknown for so long is deleted.
const goneAfterMs = 600_000
const unknownTopic = 3

/**
 * Which window of a shard is done for good, so that its rows may go: its last batch is committed, and every commit
 * marker up to it has been seen. Kafka 4.3 acknowledges commits whose marker it skips (KAFKA-20734); then the rows are
 * what the events can be published from again. Proven only when rotation asks: two requests per topic and broker.
 */
export class Confirmation {
  readonly #parts: ConfirmationParts
  /** By partition, how far it was written since its marker was last seen. */
  readonly #written = new Map<string, WrittenUpTo>()
  #inherited: readonly string[] | undefined
  #complete: WindowKey | undefined
  #confirmed: WindowKey | undefined
  /** By topic, which was the last position that counts a batch with it; 0 for one of an earlier incarnation. */
  readonly #topics: Map<string, number>
  #positions = 0
  #positionsPlaced = 0
  readonly #unknownSinceMs = new Map<string, number>()

  constructor(parts: ConfirmationParts) {
    this.#parts = parts
    this.#inherited = parts.inherited
    this.#complete = parts.complete
    this.#confirmed = parts.confirmed
    this.#topics = new Map(parts.inherited?.map((topic) => [topic, 0]))
  }

  /** The newest window that is confirmed: what the next window record carries. */
  get confirmed(): WindowKey | undefined {
    return this.#confirmed
  }

  /** Whether there is something to prove. */
  get isBehind(): boolean {
    return this.#complete !== undefined && !isSame(this.#complete, this.#confirmed)
  }

  /** A transaction was committed, the oldest of those whose topics were asked for. */
  placed({ placed }: Receipt): void {
    this.#positionsPlaced++
    for (const { topic, partition, lastOffset } of placed)
      this.#written.set(`${partition}:${topic}`, { topic, partition, offset: lastOffset })
  }

  /** The last batch of a window is committed. */
  completed(window: WindowKey): void {
    this.#complete = window
  }

  /** What was asked for and not placed will not be: it was aborted, and nothing of it is on its way. */
  wentBack(): void {
    this.#positions = this.#positionsPlaced
    for (const [topic, position] of this.#topics)
      if (position > this.#positions) this.#topics.set(topic, this.#positions)
  }

  /**
   * The topics that are not proven once a batch for `topics` is committed: part of its position, since whoever follows
   * has to prove them. Undefined when they are not known.
   */
  unprovenWith(topics: Iterable<string>): readonly string[] | undefined {
    this.#positions++
    for (const topic of topics) this.#topics.set(topic, this.#positions)
    if (this.#inherited === undefined || this.#topics.size > topicsMax) return undefined
    return [...this.#topics.keys()]
  }

  /**
   * Confirms the newest window that is complete.
   * @throws OutboxError as untilStable does; then nothing is confirmed that was not before
   */
  async prove(signal: AbortSignal): Promise<void> {
    const { kafka, producerIds } = this.#parts
    const complete = this.#complete
    const written = [...this.#written.values()]
    const positionsProven = this.#positionsPlaced
    const inherited = this.#inherited ?? (await this.#parts.topicsOfRows(signal))
    try {
      await untilStable(kafka, { written, topics: inherited, producerIds: producerIds(), signal })
    } catch (error) {
      this.#forgetDeleted(error, inherited)
      throw error
    }
    this.#unknownSinceMs.clear()
    this.#confirmed = complete
    this.#inherited = []
    for (const at of written) {
      const key = `${at.partition}:${at.topic}`
      if (this.#written.get(key) === at) this.#written.delete(key)
    }
    // Those of a batch that is on its way stay.
    for (const [topic, position] of this.#topics) if (position <= positionsProven) this.#topics.delete(topic)
  }

  /** The records of a topic that was deleted are gone with it; nothing can be proven about them, and nothing need be. */
  #forgetDeleted(error: unknown, inherited: readonly string[]): void {
    if (!OutboxError.is(error, 'KAFKA_TOPIC_UNAVAILABLE') || error.details['code'] !== unknownTopic) return
    const topic = String(error.details['topic'])
    const sinceMs = this.#unknownSinceMs.get(topic) ?? performance.now()
    this.#unknownSinceMs.set(topic, sinceMs)
    if (performance.now() - sinceMs < goneAfterMs) return
    for (const [key, at] of this.#written) if (at.topic === topic) this.#written.delete(key)
    this.#topics.delete(topic)
    this.#inherited = inherited.filter((name) => name !== topic)
  }
}

const isSame = (one: WindowKey, other: WindowKey | undefined): boolean =>
  one.generation === other?.generation && one.epoch === other.epoch && one.number === other.number
