import { channels, faultPoint, type OutboxError, type PublishedMessage } from '@oncebox/core'
import type { Receipt } from '@oncebox/kafka'
import { LetterBook } from '../dead-letters/letter-book.js'
import { LetterReads } from '../dead-letters/letter-reads.js'
import { LetterWrites } from '../dead-letters/letter-writes.js'
import { Requeue } from '../dead-letters/requeue.js'
import { positionRecord } from '../opening/open-shard.js'
import { Replays } from '../replaying/replays.js'
import { ReplayStore } from '../replaying/replay-store.js'
import type { Position } from '../position.js'
import type { Snapshot } from '../reading/snapshot.js'
import type { Page, PageReader } from '../reading/window-reader.js'
import { WindowRecorder } from '../reading/window-recorder.js'
import { BatchEncoder } from './batch-encoder.js'
import { BatchLimit } from './batch-limit.js'
import { Confirmation } from './confirmation.js'
import type { EncodedBatch } from './encoded-batch.js'
import type { Exceptions } from './exceptions.js'
import { Flights, type FirstFailure } from './flights.js'
import { ShardHalt } from './shard-halt.js'
import type { InTransactions } from './row-walk.js'
import { Prover } from './prover.js'
import type { PublishedUpTo, PublishShardRequest } from './publish-shard.js'
import { haltOf, refusedContent } from './refusals.js'
import { Routes } from './routes.js'
import { Standing, type Copied } from './standing.js'
import { topicsOfRows } from './topics-of-rows.js'

/** A page that was read, with what can be published of it. */
interface ReadBatch {
  readonly page: Page
  readonly batch: EncodedBatch
  /** Whether no row of the window is left behind it. */
  readonly complete: boolean
  readonly readMs: number
  readonly encodeMs: number
}

interface CommittedBatch extends Pick<ReadBatch, 'batch' | 'readMs' | 'encodeMs'> {
  readonly bytes: number
  readonly startedMs: number
  readonly receipt: Receipt
  readonly position: Position
}

// An empty window moves `from` only when polls have become dear, and then with a record, at most once a second.
const moveEmptyAfterMs = 1_000
const endedDear = 64
const txidsDear = 10_000n

/** What {@link publishShard} does, with the state that it takes. */
export class ShardPublisher {
  readonly #request: PublishShardRequest
  readonly #reader: PageReader
  readonly #routes: Routes
  readonly #encoder: BatchEncoder
  readonly #book: LetterBook
  readonly #writes: LetterWrites
  readonly #requeue: Requeue
  readonly #replays: Replays
  readonly #limit: BatchLimit
  /** Events that the broker refused when they stood alone. */
  readonly #refused = new Map<bigint, OutboxError>()
  /** The end of a transaction in which the broker refuses something: it is published in parts, since only so that is found. */
  #cutTransaction: bigint | undefined
  readonly #halt = new ShardHalt()
  readonly #flights = new Flights()
  readonly #standing: Standing
  readonly #confirmation: Confirmation
  readonly #prover: Prover
  #movedAtMs = 0

  constructor(request: PublishShardRequest) {
    const { open, options, database, kafka, signal } = request
    const { shard, epoch, lifeToken, condition, selection, position } = open
    this.#request = request
    this.#reader = request.openReader(database.reader, {
      shard,
      epoch,
      lifeToken,
      condition,
      selection,
      bytesMax: options.bytesMax,
      keepTransactionsWhole: options.keepTransactionsWhole,
    })
    this.#routes = new Routes(kafka, open.progress.name)
    this.#encoder = new BatchEncoder(this.#routes, options.compression)
    this.#limit = new BatchLimit(options.eventsMax)
    this.#confirmation = new Confirmation({
      kafka,
      producerIds: () => open.session.producerIds,
      confirmed: open.confirmed,
      complete: position.complete ? position.window : undefined,
      inherited: position.unproven,
      topicsOfRows: async (until) => await topicsOfRows(options, open, until),
    })
    this.#standing = new Standing(open, new WindowRecorder(database.recorder), this.#confirmation)
    this.#prover = new Prover(request, this.#confirmation)
    const relay = options.name
    const reads = new LetterReads(database.reader, condition)
    this.#writes = new LetterWrites(database.reader, { shard, epoch, lifeToken })
    const letters = { relay, shard, reads, writes: this.#writes }
    this.#book = new LetterBook(letters)
    this.#requeue = new Requeue({
      ...letters,
      book: this.#book,
      encoder: this.#encoder,
      progressTopic: open.progress.name,
      bytesMax: options.bytesMax,
      commit: async (batch, requeued) => await this.#publishCopies(batch, { requeued }),
      refreshTopic: async (topic) => await this.#routes.refreshNamed(topic, signal),
      onWait: (error) => request.observer.copiesWait(error),
      signal,
    })
    this.#replays = new Replays({
      store: new ReplayStore(database.reader, { shard, epoch, lifeToken }, condition),
      kafka,
      compression: options.compression,
      progressTopic: open.progress.name,
      generation: position.window.generation,
      eventsMax: options.eventsMax,
      bytesMax: options.bytesMax,
      published: () => (this.#standing.cursor.to === undefined ? this.#standing.cursor.from : undefined),
      commit: async (batch, replayed) => await this.#publishCopies(batch, { replayed }),
      onWait: (error) => request.observer.copiesWait(error),
      signal,
    })
  }

  async run(): Promise<PublishedUpTo> {
    const { signal, observer } = this.#request
    const { requeued = [], replayed } = this.#standing.position
    await this.#book.load(requeued)
    await this.#replays.load(replayed)
    observer.setAside(0, this.#book.parked.size)
    try {
      while (!signal.aborted) {
        try {
          await this.#publishOn()
        } catch (error) {
          await this.#getOver(await this.#flights.failedFirst(error))
        }
      }
    } finally {
      await this.#prover.end()
    }
    return this.#standing.upTo
  }

  /** Until the signal is aborted or something fails. */
  async #publishOn(): Promise<void> {
    const { signal, observer } = this.#request
    while (!signal.aborted) {
      this.#prover.proveOnDemand()
      if (this.#requeue.isDue) {
        await this.#flights.landAll()
        await this.#requeue.turn()
        observer.setAside(0, this.#book.parked.size)
      }
      if (this.#replays.isDue) {
        await this.#flights.landAll()
        await this.#replays.turn()
      }
      const next = await this.#readBatch()
      if (next === undefined || next.batch.rows === 0) {
        await this.#flights.landAll()
        if (next?.batch.halt !== undefined) throw next.batch.halt.error
        await this.#nothing(next?.page)
        continue
      }
      const { batch } = next
      this.#flights.add(batch, this.#publish(next))
      if (this.#flights.count > 1) await this.#flights.landFirst()
      if (this.#standing.cursor.to === undefined || !batch.whole) await this.#flights.landAll()
      if (batch.halt !== undefined) throw batch.halt.error
    }
    await this.#flights.landAll()
  }

  async #readBatch(): Promise<ReadBatch | undefined> {
    // The cursor stands on the record of this window: it must be there before it is built upon.
    await this.#standing.recorded
    const { options, signal, observer } = this.#request
    const { cursor } = this.#standing
    observer.reading(cursor)
    const startedMs = performance.now()
    const rowsMax = this.#limit.rows
    const page = await this.#reader.read(cursor, rowsMax)
    if (page === undefined) return undefined
    const exceptions = await this.#exceptions(page)
    const readAtMs = performance.now()
    const transactions = page.order === 'seq' ? undefined : this.#inTransactions(rowsMax)
    const batch = await this.#encoder.encode(page.rows, cursor.after, exceptions, signal, transactions)
    const encodeMs = performance.now() - readAtMs
    if (batch.setAside.length > 0) {
      await this.#book.setAside(batch.setAside)
      this.#standing.lettersWritten()
      for (const { seq } of batch.setAside) this.#refused.delete(seq)
      observer.setAside(batch.setAside.length, this.#book.parked.size)
    }
    if (batch.events > 0) await faultPoint('relay.window.taken')
    const complete =
      page.mayBeLast && batch.whole && batch.rows < rowsMax && batch.boundedBytes < options.bytesMax
    return { page, batch, complete, readMs: readAtMs - startedMs, encodeMs }
  }

  #inTransactions(rowsMax: number): InTransactions {
    const last = this.#cutTransaction
    return {
      lastOfTransaction: this.#standing.cursor.lastOfTransaction ?? 0n,
      whole: this.#request.options.keepTransactionsWhole,
      cut: last === undefined ? undefined : { last, rowsMax },
    }
  }

  async #exceptions(page: Page): Promise<Exceptions> {
    const { poison } = this.#request.options
    return {
      passedOver: await this.#book.passedOver(page),
      refused: this.#refused,
      parked: this.#book.parked,
      parkedKeysMax: poison.parkedKeysMax,
      doubtful: this.#halt.doubtful,
      choiceFor: (topic) => poison.topics.get(topic) ?? poison.default,
    }
  }

  /** One Kafka transaction. Moves the cursor before its first await, so that the next page can be read meanwhile. */
  async #publish(read: ReadBatch): Promise<void> {
    const { page, batch, complete } = read
    const { observer, wakeup } = this.#request
    const startedMs = performance.now()
    const position = this.#standing.moveBehind(page, batch, complete)
    wakeup.reset()
    const receipt = await this.#commit(batch, position)
    if (complete) this.#confirmation.completed(position.window)
    this.#limit.committed()
    if (this.#halt.passes(batch, complete)) observer.resumed()
    this.#tell({ ...read, bytes: page.bytes, startedMs, receipt, position })
  }

  /** Copies of dead letters, or of what was published, in a transaction of their own. Nothing else is in flight. */
  async #publishCopies(batch: EncodedBatch, copied: Copied): Promise<void> {
    const startedMs = performance.now()
    const position = await this.#standing.standStill(batch, copied)
    try {
      const receipt = await this.#commit(batch, position)
      this.#tell({ batch, bytes: batch.boundedBytes, readMs: 0, encodeMs: 0, startedMs, receipt, position })
    } finally {
      this.#goBack()
    }
  }

  async #commit(batch: EncodedBatch, position: Position): Promise<Receipt> {
    const { open } = this.#request
    const partitions = [...batch.partitions, positionRecord(open.progress, open.shard, position)]
    // The session holds a batch back behind one that is undecided. One that was refused before this call is not ahead of it
    // any more: without the gate, the position would pass what was refused, and lose it.
    const gate = Promise.all([this.#standing.recorded, this.#flights.landed])
    this.#request.observer.publishing(batch.topics)
    const receipt = await open.session.publish({ partitions, gate })
    this.#standing.committed(position)
    this.#confirmation.placed(receipt)
    return receipt
  }

  #tell({ batch, bytes, readMs, encodeMs, startedMs, receipt, position }: CommittedBatch): void {
    const { open, options, observer } = this.#request
    const published = {
      events: batch.events,
      bytes,
      oldestMs: Math.min(batch.oldestMs, Date.now()),
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
    if (this.#standing.endWindow()) return
    const to = page?.to ?? this.#standing.cursor.from
    if (this.#standing.hasNewsToRecord) await this.#moveTo(to)
    else if (this.#prover.wantsMore) await this.#publishEmpty(to)
    else if (page !== undefined && isDear(page) && performance.now() - this.#movedAtMs > moveEmptyAfterMs)
      await this.#moveTo(to)
    if (this.#halt.passes(undefined, true)) observer.resumed()
    observer.idle()
    channels.relayIdle.publish({ relay: options.name, shard: open.shard })
    if (!this.#requeue.hasMore && !this.#replays.hasMore) await wakeup.wait(signal)
  }

  /** An empty window, recorded, so that the next one begins behind it. */
  async #moveTo(to: Snapshot): Promise<void> {
    this.#movedAtMs = performance.now()
    await this.#standing.moveOverNothing(to)
  }

  /**
   * An empty window that Kafka's position stands on, too: what is confirmed is never ahead of the position, so the
   * windows before the confirmed one are needed by nobody. When rotation waits for a shard that has nothing to publish.
   */
  async #publishEmpty(to: Snapshot): Promise<void> {
    const { open } = this.#request
    this.#movedAtMs = performance.now()
    const position = await this.#standing.moveBehindNothing(to)
    const receipt = await open.session.publish({
      partitions: [positionRecord(open.progress, open.shard, position)],
    })
    this.#standing.committed(position)
    this.#confirmation.placed(receipt)
    this.#confirmation.completed(position.window)
    this.#prover.prove()
  }

  /**
   * Goes on from the last committed position where that can help: the refused event is looked for, the topic or event
   * waited for. Anything else is thrown, and so is everything when nothing is certain any more.
   */
  async #getOver({ error, batch }: FirstFailure): Promise<void> {
    const { open, signal } = this.#request
    if (signal.aborted || open.session.state !== 'ready') throw error
    // A record that was refused is a doubt of its own.
    await this.#standing.recorded
    const content = refusedContent(error, open.progress.name)
    const halt = haltOf(error, open.progress.name)
    if ((content === undefined || batch === undefined) && halt === undefined) throw error
    this.#goBack()
    if (halt !== undefined) await this.#waitFor(halt)
    else if (content !== undefined && batch !== undefined)
      await this.#lookFor(content.topic, content.error, batch)
  }

  /** The broker refused something in the batch: less of it is tried, until what it refuses stands alone. */
  async #lookFor(topic: string, error: OutboxError, batch: EncodedBatch): Promise<void> {
    // The topic's limit was lowered: the encoder finds by itself what is too large now.
    if (await this.#routes.refreshNamed(topic, this.#request.signal)) return
    if (batch.events === 1) return void this.#refused.set(batch.lastEventSeq, error)
    if (batch.transactions === 1) this.#cutTransaction = batch.lastOfTransaction
    this.#limit.refused(batch.rows)
  }

  async #waitFor(error: OutboxError): Promise<void> {
    const { observer, signal } = this.#request
    const { topic } = error.details
    if (error.code === 'RELAY_TOPIC_UNAVAILABLE' && typeof topic === 'string') this.#routes.forget(topic)
    observer.halted(error)
    await this.#halt.wait(error, signal)
    // It may be taken by now.
    this.#refused.clear()
  }

  /** To the last committed position. Nothing is in flight. */
  #goBack(): void {
    this.#standing.goBack()
    this.#request.observer.wentBack()
  }
}

const isDear = ({ from, to, endedCount }: Page): boolean =>
  endedCount > endedDear || to.xmax - from.xmax > txidsDear
