import { faultPoint, nextDelayMs, OutboxError, replayedHeader } from '@oncebox/core'
import type { Compression, KafkaClient } from '@oncebox/kafka'
import { ParkedKeys } from '../dead-letters/parked-keys.js'
import type { ReplayedUpTo } from '../position.js'
import { BatchEncoder } from '../publishing/batch-encoder.js'
import { BatchLimit } from '../publishing/batch-limit.js'
import type { EncodedBatch } from '../publishing/encoded-batch.js'
import type { Exceptions } from '../publishing/exceptions.js'
import { asRefusedTopic, refusedContent } from '../publishing/refusals.js'
import { Routes } from '../publishing/routes.js'
import type { Snapshot } from '../reading/snapshot.js'
import type { BegunReplay, Replay, ReplayPage, ReplayStore } from './replay-store.js'

export interface ReplaysParts {
  readonly store: ReplayStore
  readonly kafka: KafkaClient
  readonly compression: Compression
  readonly progressTopic: string
  readonly generation: number
  readonly eventsMax: number
  readonly bytesMax: number
  /** Shows exactly what the shard has published; undefined inside a window. */
  readonly published: () => Snapshot | undefined
  /**
   * Publishes events again in a transaction of their own, with a position that says so. When it throws, none is published,
   * or the shard has to be opened again.
   */
  readonly commit: (batch: EncodedBatch, replayed: ReplayedUpTo) => Promise<void>
  /** Events of a topic that is refused wait for it. */
  readonly onWait: (error: OutboxError) => void
  readonly signal: AbortSignal
}

/** A request that is at hand. */
interface Underway extends BegunReplay {
  /** Its records carry its number. */
  readonly routes: Routes
}

const lookMs = 1_000
/** Of a turn, where a batch may have more. */
const eventsOfTurnMax = 500
// A topic that is refused costs each attempt the patience of the session, for which events of other topics wait.
const rest = { minMs: 10_000, maxMs: 600_000 }

/**
 * Publishes events again that were published before, as people ask for it: between two batches of the outbox, while nothing is
 * on its way, one request after the other. How far one is stands in the position, in the transaction of its events, until the
 * database knows it; so each event goes out once for a request, wherever the relay is killed.
 */
export class Replays {
  readonly #parts: ReplaysParts
  readonly #limit: BatchLimit
  /** Events that the broker refused when they stood alone. */
  readonly #refused = new Map<bigint, OutboxError>()
  #current: Underway | undefined
  #lookAtMs = 0
  /** The topic of the current one is refused: until then it is not tried. */
  #restsUntilMs = 0
  #attempts = 0

  constructor(parts: ReplaysParts) {
    this.#parts = parts
    this.#limit = new BatchLimit(Math.min(parts.eventsMax, eventsOfTurnMax))
  }

  /** Tells the database what an earlier holder has published, as the last position in Kafka says. */
  async load(replayed: ReplayedUpTo | undefined): Promise<void> {
    if (replayed !== undefined) await this.#parts.store.published(replayed)
  }

  /** Whether there may be something to do. */
  get isDue(): boolean {
    return this.hasMore || performance.now() >= this.#lookAtMs
  }

  /** Whether events wait for their turn. */
  get hasMore(): boolean {
    return this.#current !== undefined && performance.now() >= this.#restsUntilMs
  }

  /** One turn: a bounded number of events, so that the outbox is held up for no longer than a batch takes. */
  async turn(): Promise<void> {
    this.#lookAtMs = performance.now() + lookMs
    const current = await this.#ongoing()
    if (current === undefined || !this.hasMore) return
    if (current.after < current.lastSeq) return await this.#publish(current)
    await this.#parts.store.done(current)
    this.#current = undefined
    this.#lookAtMs = 0
  }

  /** The request that is at hand, or the next one when somebody has called that off. */
  async #ongoing(): Promise<Underway | undefined> {
    const { store } = this.#parts
    if (this.#current === undefined || (await store.isCancelled(this.#current))) {
      this.#restsUntilMs = 0
      this.#attempts = 0
      this.#current = await this.#next()
    }
    return this.#current
  }

  async #next(): Promise<Underway | undefined> {
    const { store, kafka, progressTopic, generation, published } = this.#parts
    const next = await store.next(generation)
    if (next === undefined) return undefined
    const begun = hasBegun(next) ? next : await this.#begin(next, published())
    if (begun === undefined) return undefined
    this.#refused.clear()
    return { ...begun, routes: new Routes(kafka, progressTopic, [[replayedHeader, String(begun.number)]]) }
  }

  async #begin(next: Replay, published: Snapshot | undefined): Promise<BegunReplay | undefined> {
    return published === undefined ? undefined : await this.#parts.store.begin(next, published)
  }

  async #publish(current: Underway): Promise<void> {
    const { store, compression, bytesMax, commit, signal } = this.#parts
    const limit = this.#limit.rows
    const page = await store.page(current, limit, bytesMax)
    const batch = await new BatchEncoder(current.routes, compression).encode(
      page.rows,
      current.after,
      this.#exceptions,
      signal,
    )
    const replayed = { number: current.number, ...doneWith(batch, page, limit, bytesMax) }
    await faultPoint('relay.replay.taken')
    try {
      if (batch.events > 0) await commit(batch, replayed)
    } catch (error) {
      return await this.#refuse(error, batch, current)
    }
    await faultPoint('relay.replay.committed')
    // Looked at in vain: whoever goes on from before looks again.
    if (batch.rows > 0) await store.published(replayed)
    await faultPoint('relay.replay.recorded')
    this.#current = { ...current, after: replayed.seq }
    for (const { seq } of batch.setAside) this.#refused.delete(seq)
    this.#limit.committed()
    if (batch.events > 0) this.#attempts = 0
    if (batch.halt !== undefined) this.#rest(batch.halt.error, current)
  }

  /** What its topic cannot take is passed over, and counted; nobody's key is parked by it. */
  get #exceptions(): Exceptions {
    return {
      passedOver: new Set(),
      refused: this.#refused,
      parked: new ParkedKeys(),
      parkedKeysMax: 0,
      doubtful: new Set(),
      choiceFor: () => 'skip',
      topicPatienceMs: 0,
    }
  }

  /** The broker refuses the batch, and nothing of it is published: finds out which event, or which topic, it is. */
  async #refuse(error: unknown, batch: EncodedBatch, current: Underway): Promise<void> {
    const { progressTopic, signal } = this.#parts
    const content = refusedContent(error, progressTopic)
    if (content === undefined) return this.#rest(error, current)
    // The limit was lowered: the encoder finds by itself what is too large now.
    if (await current.routes.refreshNamed(content.topic, signal)) return
    if (batch.events === 1) this.#refused.set(batch.lastEventSeq, content.error)
    else this.#limit.refused(batch.rows)
  }

  /** Leaves a replay alone for a while whose topic is refused, and those behind it. */
  #rest(error: unknown, { routes }: Underway): void {
    const { progressTopic, onWait } = this.#parts
    const refused = asRefusedTopic(error, progressTopic)
    if (!OutboxError.is(refused, 'RELAY_TOPIC_UNAVAILABLE')) throw error
    routes.forget(String(refused.details['topic']))
    this.#restsUntilMs = performance.now() + nextDelayMs(rest, ++this.#attempts)
    onWait(refused)
  }
}

const hasBegun = (replay: Replay): replay is BegunReplay => replay.published !== undefined

/** Up to where a page is done: to its end, when neither its bounds nor a refused topic has cut it. */
function doneWith(
  batch: EncodedBatch,
  { upTo }: ReplayPage,
  limit: number,
  bytesMax: number,
): Omit<ReplayedUpTo, 'number'> {
  const isAll = batch.whole && batch.rows < limit && batch.boundedBytes < bytesMax
  return { seq: isAll ? upTo : batch.lastSeq, events: batch.events, refused: batch.setAside.length }
}
