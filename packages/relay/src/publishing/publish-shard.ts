import type { Client } from 'pg'
import { channels, faultPoint, type PublishedMessage } from '@oncebox/core'
import type { KafkaClient, Receipt } from '@oncebox/kafka'
import type { DatabaseConnections } from '../database-connections.js'
import { positionRecord, type OpenShard } from '../opening/open-shard.js'
import type { ResolvedRelayOptions } from '../options.js'
import type { Position, WindowName } from '../position.js'
import type { Wakeup } from '../reading/wakeup.js'
import {
  WindowReader,
  type Cursor,
  type Page,
  type PageReader,
  type WindowReaderOptions,
} from '../reading/window-reader.js'
import { WindowRecorder } from '../reading/window-recorder.js'
import { BatchEncoder, type EncodedBatch } from './batch-encoder.js'
import { asRefusedTopic } from './refused-topic.js'

export interface PublishShardRequest {
  readonly options: ResolvedRelayOptions
  readonly open: OpenShard
  readonly kafka: KafkaClient
  readonly database: DatabaseConnections
  readonly wakeup: Wakeup
  readonly observer: PublishObserver
  readonly openReader: OpenReader
  readonly signal: AbortSignal
}

/** Opens what the shard is read with. */
export type OpenReader = (client: Client, options: WindowReaderOptions) => PageReader

export const openWindowReader: OpenReader = (client, options) => new WindowReader(client, options)

/** What metrics and health learn while a shard is published. */
export interface PublishObserver {
  /** A page is being read. */
  reading(cursor: Cursor): void
  /** A batch is on its way to these topics. */
  publishing(topics: readonly string[]): void
  /** A poll found nothing. */
  idle(): void
  published(batch: PublishedBatch): void
}

/** How far a shard is when its publishing was stopped. */
export interface PublishedUpTo {
  /** As it stands in Kafka. */
  readonly position: Position
  /** The newest window that was recorded; an empty one is in no position. */
  readonly window: WindowName
}

interface PublishedBatch {
  readonly events: number
  readonly bytes: number
  readonly oldestMs: number
  readonly topics: readonly string[]
  /** Reading the page, and turning it into record batches. */
  readonly readMs: number
  readonly encodeMs: number
  /** From the batch in hand to its commit. */
  readonly durationMs: number
  readonly receipt: Receipt
  /** Trace contexts of its events, a bounded number; none unless somebody listens. */
  readonly traceparents: readonly string[]
}

/** A page that was read, and the batch that was made of it. */
interface ReadBatch {
  readonly page: Page
  readonly batch: EncodedBatch
  readonly readMs: number
  readonly encodeMs: number
}

// An empty window moves `from` only when polls have become dear, and then with a record, at most once a second.
const moveEmptyAfterMs = 1_000
const endedDear = 64
const txidsDear = 10_000n

/**
 * Windows to batches to Kafka, one transaction a batch, the position inside it. Returns when the signal is aborted and
 * what is in hand is committed; throws at the first doubt, and then the shard is opened again from Kafka.
 *
 * Reads ahead only while full batches come back: it speeds up a drain, and doubles the latency of a trickle.
 */
export async function publishShard(request: PublishShardRequest): Promise<PublishedUpTo> {
  try {
    return await new ShardPublisher(request).run()
  } catch (error) {
    throw asRefusedTopic(error, request.open.progress.name)
  }
}

class ShardPublisher {
  readonly #request: PublishShardRequest
  readonly #reader: PageReader
  readonly #recorder: WindowRecorder
  readonly #encoder: BatchEncoder
  /** Where the next batch starts, once all batches before it are committed. */
  #position: Position
  /** The window under the cursor, recorded or being recorded. */
  #window: WindowName
  #cursor: Cursor
  #recorded: Promise<void> = Promise.resolve()
  #confirmed: WindowName | undefined
  #movedAtMs = 0

  constructor(request: PublishShardRequest) {
    const { open, options, database, kafka } = request
    this.#request = request
    this.#reader = request.openReader(database.reader, {
      shard: open.shard,
      epoch: open.epoch,
      lifeToken: open.lifeToken,
      condition: open.condition,
      rowsMax: options.eventsMax,
      bytesMax: options.bytesMax,
    })
    this.#recorder = new WindowRecorder(database.recorder)
    this.#encoder = new BatchEncoder(kafka, options.compression)
    this.#position = open.position
    this.#window = open.position.window
    this.#cursor = cursorAfter(open.position)
    this.#confirmed = open.position.complete ? open.position.window : undefined
  }

  async run(): Promise<PublishedUpTo> {
    const { signal } = this.#request
    let ahead: Promise<void> | undefined
    try {
      while (!signal.aborted) {
        const next = await this.#readBatch()
        if (next === undefined || next.batch.events === 0) {
          await ahead
          ahead = undefined
          await this.#nothing(next?.page)
          continue
        }
        const publishing = this.#publish(next)
        // Handled below, or by the finally; this only keeps an early failure from counting as unhandled.
        publishing.catch(() => undefined)
        await ahead
        ahead = publishing
        if (this.#cursor.to === undefined) {
          await ahead
          ahead = undefined
        }
      }
    } finally {
      await ahead
    }
    return { position: this.#position, window: this.#window }
  }

  async #readBatch(): Promise<ReadBatch | undefined> {
    const { observer, signal } = this.#request
    // The cursor stands on the record of this window: it must be there before it is built upon.
    await this.#recorded
    observer.reading(this.#cursor)
    const startedMs = performance.now()
    const page = await this.#reader.read(this.#cursor)
    const readAtMs = performance.now()
    if (page === undefined) return undefined
    const batch = await this.#encoder.encode(page.rows, this.#cursor.after, signal)
    const encodeMs = performance.now() - readAtMs
    if (batch.events > 0) await faultPoint('relay.window.taken')
    return { page, batch, readMs: readAtMs - startedMs, encodeMs }
  }

  /** One Kafka transaction. Moves the cursor before its first await, so that the next page can be read meanwhile. */
  async #publish({ page, batch, readMs, encodeMs }: ReadBatch): Promise<void> {
    const { open, options, observer, wakeup } = this.#request
    const startedMs = performance.now()
    const firstOfWindow = this.#cursor.to === undefined
    if (firstOfWindow) this.#recordNextWindow(page)
    const complete = batch.events < options.eventsMax && batch.boundedBytes < options.bytesMax
    const position: Position = {
      ...this.#position,
      batch: this.#position.batch + 1,
      incarnation: open.incarnation,
      window: this.#window,
      from: page.from,
      to: page.to,
      lastSeq: batch.lastSeq,
      complete,
      events: batch.events,
      eventsTotal: this.#position.eventsTotal + batch.events,
    }
    this.#position = position
    this.#cursor = cursorAfter(position)
    wakeup.reset()
    observer.publishing(batch.topics)
    const partitions = [...batch.partitions, positionRecord(open.progress, open.shard, position)]
    const receipt = await open.session.publish({ partitions, gate: this.#recorded })
    if (complete) this.#confirmed = position.window
    const published = {
      events: batch.events,
      bytes: page.bytes,
      oldestMs: batch.oldestMs,
      topics: batch.topics,
      readMs,
      encodeMs,
      durationMs: performance.now() - startedMs,
      receipt,
      traceparents: batch.traceparents,
    }
    observer.published(published)
    const { name: relay } = options
    const message: PublishedMessage = { relay, shard: open.shard, epoch: open.epoch, position, ...published }
    channels.relayPublished.publish(message)
  }

  /** Nothing left in the window under the cursor, or nothing new at all. */
  async #nothing(page: Page | undefined): Promise<void> {
    const { open, options, observer, wakeup, signal } = this.#request
    if (this.#cursor.to !== undefined) {
      // The last page was exactly full: the window ended with it.
      this.#confirmed = this.#window
      this.#cursor = { anchor: this.#window, from: this.#cursor.to, to: undefined, after: 0n }
      return
    }
    await page?.proven
    if (page !== undefined && isDear(page) && performance.now() - this.#movedAtMs > moveEmptyAfterMs) {
      this.#movedAtMs = performance.now()
      this.#recordNextWindow(page)
      await this.#recorded
      this.#cursor = { anchor: this.#window, from: page.to, to: undefined, after: 0n }
    }
    observer.idle()
    channels.relayIdle.publish({ relay: options.name, shard: open.shard })
    await wakeup.wait(signal)
  }

  #recordNextWindow(page: Page): void {
    const { open } = this.#request
    const window = {
      generation: this.#window.generation,
      epoch: open.epoch,
      number: this.#window.number + 1,
      incarnation: open.incarnation,
    }
    this.#window = window
    const confirmed = this.#confirmed
    this.#recorded = page.proven.then(() =>
      this.#recorder.record({
        shard: open.shard,
        window,
        to: page.to,
        confirmed,
        lifeToken: open.lifeToken,
      }),
    )
    this.#recorded.catch(() => undefined)
  }
}

const isDear = ({ from, to, endedCount }: Page): boolean =>
  endedCount > endedDear || to.xmax - from.xmax > txidsDear

function cursorAfter({ window, from, to, lastSeq, complete }: Position): Cursor {
  return complete
    ? { anchor: window, from: to, to: undefined, after: 0n }
    : { anchor: window, from, to, after: lastSeq }
}
