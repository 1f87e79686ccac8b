import { OutboxError } from '@oncebox/core'
import type { BrokerConnections } from '../broker-connections.js'
import type { KafkaClient } from '../client.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { within } from '../options.js'
import type { PartitionAddress } from '../partition-offsets.js'
import { committedRecords } from '../records/committed-records.js'
import { BrokerFetcher } from './broker-fetcher.js'
import type { FetchedBatch, LogOffsets, WaitingBatch } from './fetched-batch.js'
import { PartitionCursor, type PartitionStart } from './partition-cursor.js'
import { PartitionLocator } from './partition-locator.js'

export interface FetchLoopOptions {
  /**
   * Handles a batch. The next one of the partition is delivered when this has resolved; other partitions do not wait for
   * it. A rejection halts the partition.
   */
  readonly onBatch: (batch: FetchedBatch) => Promise<void>
  /**
   * A partition is not read any more until it is assigned again: KAFKA_TOPIC_RECREATED, KAFKA_TOPIC_UNAVAILABLE (deleted),
   * KAFKA_OFFSET_OUT_OF_RANGE, KAFKA_AUTHORIZATION_FAILED, KAFKA_BATCH_TOO_LARGE, KAFKA_CODEC_MISSING, KAFKA_PROTOCOL, or what `onBatch` was rejected with.
   */
  readonly onHalted: (at: PartitionAddress, error: unknown) => void
  /** Something is away, and is tried again with backoff: a broker, a leader. Told at most once a second. */
  readonly onTrouble?: (error: OutboxError) => void
  /** Partitions handled at once. Default 16; 1 to 10,000. */
  readonly concurrency?: number
  /** Bytes of one fetch. Default 10 MiB. */
  readonly bytesMax?: number
  /** Bytes of one partition in a fetch. Default 1 MiB. A larger record batch comes alone, whole. */
  readonly partitionBytesMax?: number
  /** Bytes that were fetched and not handled, all partitions together; as many again may be on their way. Default 64 MiB. */
  readonly bufferBytesMax?: number
  /** How long a broker waits for something to send. Default 500; 10 to 10,000. */
  readonly waitMsMax?: number
}

/** Where a partition is, and what its log held when it was last fetched from. */
export interface PartitionProgress extends Partial<LogOffsets> {
  /** The offset at which the next batch that is delivered begins. */
  readonly position: bigint
  readonly isPaused: boolean
  /** How old the offsets of its log are. A partition is not fetched while a batch of it waits, or while it is paused. */
  readonly logAgeMs?: number
}

/**
 * Reads partitions, read_committed, and delivers their records batch by batch, each partition in order. A seek or a
 * pause makes obsolete what was fetched before it: nothing of it is delivered.
 */
export interface FetchLoop extends AsyncDisposable {
  /** Begins to read these partitions, at their offsets; one that was read already starts anew. */
  assign(starts: readonly PartitionStart[]): void
  /** Stops reading these partitions. A batch in hand may still be handled. */
  unassign(partitions: readonly PartitionAddress[]): void
  pause(partitions: readonly PartitionAddress[]): void
  resume(partitions: readonly PartitionAddress[]): void
  /** The next batch that is delivered begins at this offset. */
  seek(partition: PartitionAddress, offset: bigint): void
  /** Undefined when the partition is not assigned, or has halted. */
  progress(partition: PartitionAddress): PartitionProgress | undefined
  /** Ends at once. Nothing more is delivered; resolves when the batches in hand are handled. */
  stop(): Promise<void>
}

const topicPatienceMs = 5_000
const troubleEveryMs = 1_000
const troubleFailuresMin = 3
const gibibyte = 1_073_741_824

/**
 * Starts to read, with no partition assigned yet. Needs no consumer group.
 *
 * @example
 * const loop = startFetching(client, {
 *   onBatch: async ({ records, nextOffset }) => store(records, nextOffset),
 *   onHalted: (at, error) => alarm(at, error),
 * })
 * loop.assign([{ topic: 'orders', partition: 0, offset: 0n }])
 * @throws OutboxError KAFKA_OPTIONS_INVALID
 */
export function startFetching(client: KafkaClient, options: FetchLoopOptions): FetchLoop {
  return new Loop(clusterOf(client), options)
}

class Loop implements FetchLoop {
  readonly #options: FetchLoopOptions
  readonly #cluster: Cluster
  readonly #concurrency: number
  readonly #bytesMax: number
  readonly #partitionBytesMax: number
  readonly #bufferBytesMax: number
  readonly #waitMsMax: number
  readonly #connections: BrokerConnections
  readonly #stopping = new AbortController()
  /** In the order in which they are due: one that brought something goes to the end. */
  readonly #cursors = new Map<string, PartitionCursor>()
  readonly #locator: PartitionLocator
  readonly #fetchers = new Map<number, BrokerFetcher>()
  readonly #background = new Set<Promise<void>>()
  /** Cursors whose batch waits, in the order in which it came. */
  readonly #due = new Set<PartitionCursor>()
  /** By partition, so that also one that was assigned anew waits for the batch of before. */
  readonly #inHand = new Map<string, Promise<void>>()
  #inHandBytes = 0
  #toldAt = -Infinity

  constructor(cluster: Cluster, options: FetchLoopOptions) {
    this.#options = options
    this.#cluster = cluster
    this.#concurrency = within('concurrency', options.concurrency ?? 16, 1, 10_000)
    this.#bytesMax = within('bytesMax', options.bytesMax ?? 10_485_760, 1_024, gibibyte)
    this.#partitionBytesMax = within(
      'partitionBytesMax',
      options.partitionBytesMax ?? 1_048_576,
      1_024,
      gibibyte,
    )
    this.#bufferBytesMax = within(
      'bufferBytesMax',
      options.bufferBytesMax ?? 67_108_864,
      1_024,
      64 * gibibyte,
    )
    this.#waitMsMax = within('waitMsMax', options.waitMsMax ?? 500, 10, 10_000)
    this.#connections = cluster.newConnections()
    const { signal } = this.#stopping
    this.#locator = new PartitionLocator(
      {
        unplaced: () =>
          [...this.#cursors.values()].filter((cursor) => cursor.leader === undefined && !cursor.isPaused),
        onPlaced: ({ leader }) => leader !== undefined && this.#fetcherOf(leader).wake(),
        onFailed: (cursor, error) => this.#failed(cursor, error),
        onHalted: (cursor, error) => this.#halt(cursor, error),
      },
      { cluster, signal, patienceMs: topicPatienceMs },
    )
    this.#run(this.#locator.run())
  }

  assign(starts: readonly PartitionStart[]): void {
    if (this.#stopping.signal.aborted) return
    this.unassign(starts)
    for (const start of starts) this.#cursors.set(nameOf(start), new PartitionCursor(start))
    this.#locator.wake()
  }

  unassign(partitions: readonly PartitionAddress[]): void {
    for (const at of partitions) {
      const cursor = this.#cursors.get(nameOf(at))
      if (cursor !== undefined) this.#drop(cursor)
    }
  }

  pause(partitions: readonly PartitionAddress[]): void {
    for (const at of partitions) this.#cursors.get(nameOf(at))?.pause()
  }

  resume(partitions: readonly PartitionAddress[]): void {
    for (const at of partitions) {
      const cursor = this.#cursors.get(nameOf(at))
      cursor?.resume()
      this.#wake(cursor)
    }
  }

  seek(at: PartitionAddress, offset: bigint): void {
    const cursor = this.#cursors.get(nameOf(at))
    cursor?.seek(offset)
    this.#wake(cursor)
  }

  progress(at: PartitionAddress): PartitionProgress | undefined {
    const cursor = this.#cursors.get(nameOf(at))
    if (cursor === undefined) return undefined
    const { position, isPaused, log, logAgeMs } = cursor
    return { position, isPaused, ...(log !== undefined && { ...log, logAgeMs }) }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new OutboxError('KAFKA_SESSION_CLOSED', 'the fetch loop was stopped'))
    for (const cursor of this.#cursors.values()) cursor.close()
    this.#cursors.clear()
    await Promise.all([this.#connections.close(), ...this.#background])
    await Promise.all(this.#inHand.values())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #fetcherOf(nodeId: number): BrokerFetcher {
    const known = this.#fetchers.get(nodeId)
    if (known !== undefined) return known
    const fetcher = new BrokerFetcher(
      nodeId,
      {
        ledBy: (id) => [...this.#cursors.values()].filter(({ leader }) => leader === id),
        room: () => this.#room(),
        onAccepted: (cursor) => this.#accepted(cursor),
        onFailed: (cursor, error) => this.#failed(cursor, error),
        onHalted: (cursor, error) => this.#halt(cursor, error),
      },
      {
        cluster: this.#cluster,
        connections: this.#connections,
        partitionBytesMax: this.#partitionBytesMax,
        waitMsMax: this.#waitMsMax,
        patienceMs: topicPatienceMs,
        signal: this.#stopping.signal,
      },
    )
    this.#fetchers.set(nodeId, fetcher)
    this.#run(fetcher.run())
    return fetcher
  }

  /**
   * Room for one fetch: an equal share for each broker of what is left. What is on its way does not count, or an idle broker
   * that may wait long before it answers would keep the others waiting.
   */
  #room(): number {
    let held = this.#inHandBytes
    for (const { waitingBytes } of this.#cursors.values()) held += waitingBytes
    const share = (bytes: number): number => Math.floor(bytes / this.#fetchers.size)
    const enough = Math.min(this.#bytesMax, this.#partitionBytesMax, share(this.#bufferBytesMax))
    const free = share(this.#bufferBytesMax - held)
    return free < enough ? 0 : Math.min(this.#bytesMax, free)
  }

  #accepted(cursor: PartitionCursor): void {
    // Its turn comes after everybody else's: the broker fills an answer from the front.
    const name = nameOf(cursor)
    this.#cursors.delete(name)
    this.#cursors.set(name, cursor)
    this.#due.add(cursor)
    this.#deliver()
  }

  /** Hands out what is due, as far as concurrency allows. */
  #deliver(): void {
    for (const cursor of this.#due) {
      if (this.#inHand.size >= this.#concurrency || this.#stopping.signal.aborted) return
      const name = nameOf(cursor)
      if (this.#inHand.has(name)) continue
      this.#due.delete(cursor)
      const waiting = cursor.take()
      if (waiting === undefined) continue // dropped by a seek or a pause
      const handling = this.#handle(cursor, waiting).finally(() => {
        this.#inHand.delete(name)
        this.#deliver()
      })
      this.#inHand.set(name, handling)
      this.#wake(cursor) // the next batch is fetched while this one is handled
    }
  }

  async #handle(cursor: PartitionCursor, waiting: WaitingBatch): Promise<void> {
    this.#inHandBytes += waiting.bytes.length
    try {
      const batch = decode(cursor, waiting, this.#cluster.options.decompressedBytesMax)
      if (batch.nextOffset < waiting.nextOffset) {
        // More than may be decompressed at once: the rest is the next batch.
        cursor.putBack({ ...waiting, fetchedOffset: batch.nextOffset })
        this.#due.add(cursor)
      }
      await this.#options.onBatch(batch)
    } catch (error) {
      if (!cursor.isClosed) this.#halt(cursor, error)
    } finally {
      this.#inHandBytes -= waiting.bytes.length
      for (const fetcher of this.#fetchers.values()) fetcher.wake() // there may be room again
    }
  }

  #failed(cursor: PartitionCursor, error: OutboxError): void {
    cursor.fail()
    this.#locator.wake()
    // A leader that moves is usual, and found at once.
    if (cursor.failures < troubleFailuresMin || performance.now() - this.#toldAt < troubleEveryMs) return
    this.#toldAt = performance.now()
    this.#options.onTrouble?.(error)
  }

  #halt(cursor: PartitionCursor, error: unknown): void {
    this.#drop(cursor)
    this.#options.onHalted({ topic: cursor.topic, partition: cursor.partition }, error)
  }

  #drop(cursor: PartitionCursor): void {
    cursor.close()
    this.#due.delete(cursor)
    if (this.#cursors.get(nameOf(cursor)) === cursor) this.#cursors.delete(nameOf(cursor))
  }

  #wake(cursor: PartitionCursor | undefined): void {
    if (cursor?.leader === undefined) this.#locator.wake()
    else this.#fetchers.get(cursor.leader)?.wake()
  }

  /** Keeps a background task; one that breaks takes everything with it, and says so. */
  #run(task: Promise<void>): void {
    const tracked = task
      .catch((error: unknown) => {
        this.#stopping.abort(error)
        for (const cursor of this.#cursors.values()) this.#halt(cursor, error)
      })
      .finally(() => this.#background.delete(tracked))
    this.#background.add(tracked)
  }
}

const nameOf = ({ topic, partition }: PartitionAddress): string => `${topic}\n${partition}`

function decode(
  { topic, partition }: PartitionCursor,
  waiting: WaitingBatch,
  decompressedBytesMax: number,
): FetchedBatch {
  const { bytes, aborted, ...rest } = waiting
  const from = rest.fetchedOffset
  try {
    const { records, nextOffset } = committedRecords(bytes, aborted, { from, decompressedBytesMax })
    return { topic, partition, ...rest, nextOffset: nextOffset ?? rest.nextOffset, records }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new OutboxError(
      OutboxError.is(error) ? error.code : 'KAFKA_PROTOCOL',
      `${topic}-${partition}: what was fetched at offset ${from} cannot be read: ${reason}`,
      { cause: error, details: { topic, partition, offset: String(from) } },
    )
  }
}
