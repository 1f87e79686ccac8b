import { OutboxError } from '@oncebox/core'
import type { BrokerConnections } from '../broker-connections.js'
import { topicUnavailable, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { describeCode, errorCode, topicNotReady } from '../protocol/error-codes.js'
import { failureClassOf } from '../protocol/failure-class.js'
import { fetch, type FetchAnswer, type FetchRequest, type PartitionFetch } from '../protocol/fetch.js'
import { offsetBehind } from '../records/read-batches.js'
import type { PartitionCursor } from './partition-cursor.js'
import { Wakeup } from './wakeup.js'

/** What the fetcher of a broker needs of the loop that it serves. */
export interface FetcherHost {
  /** Partitions that this broker leads, the ones that were served longest ago first. */
  ledBy(nodeId: number): readonly PartitionCursor[]
  /** How many bytes may be fetched now; 0 while too many wait for their owner. */
  room(): number
  onAccepted(cursor: PartitionCursor): void
  /** The partition has to be looked up again. */
  onFailed(cursor: PartitionCursor, error: OutboxError): void
  /** Nothing but its owner can help. */
  onHalted(cursor: PartitionCursor, error: OutboxError): void
}

interface FetcherOptions {
  readonly cluster: Cluster
  readonly connections: BrokerConnections
  readonly partitionBytesMax: number
  readonly waitMsMax: number
  /** How long a refusal may last before the owner is told. */
  readonly patienceMs: number
  readonly signal: AbortSignal
}

/** A partition in a request, as it was when the request was sent. */
interface Asked {
  readonly cursor: PartitionCursor
  readonly topicId: string
  readonly version: number
  readonly fetchOffset: bigint
}

const waitMsMin = 5
const idleShare = 1 / 4
const roomRetryMs = 100

/** Fetches what one broker leads: one request in flight, for all partitions that may be fetched. */
export class BrokerFetcher {
  readonly #nodeId: number
  readonly #host: FetcherHost
  readonly #options: FetcherOptions
  readonly #wakeup = new Wakeup()

  constructor(nodeId: number, host: FetcherHost, options: FetcherOptions) {
    this.#nodeId = nodeId
    this.#host = host
    this.#options = options
  }

  /** Something may have become fetchable. */
  wake(): void {
    this.#wakeup.wake()
  }

  /** Ends when the signal is aborted. */
  async run(): Promise<void> {
    const { signal } = this.#options
    while (!signal.aborted) {
      const led = this.#host.ledBy(this.#nodeId)
      const asked = led.filter((cursor) => cursor.mayBeFetched).flatMap(askedOf)
      if (asked.length === 0) {
        await this.#wakeup.wait(signal)
        continue
      }
      const bytes = this.#host.room()
      if (bytes > 0) await this.#fetch(asked, bytes, this.#waitMs(led))
      else await this.#wakeup.wait(signal, roomRetryMs)
    }
  }

  /**
   * How long the broker may hold the answer back. A partition that is left out of this request (its batch waits, or it
   * is paused) may want the next one any moment, so it is kept waiting for a quarter of its idle time at most: without
   * this, a busy partition got one fetch per `waitMsMax` as soon as another one of its broker was idle.
   */
  #waitMs(led: readonly PartitionCursor[]): number {
    let waitMs = this.#options.waitMsMax
    for (const cursor of led)
      if (!cursor.mayBeFetched && !cursor.isClosed) waitMs = Math.min(waitMs, cursor.idleMs * idleShare)
    return Math.max(waitMsMin, Math.floor(waitMs))
  }

  async #fetch(asked: readonly Asked[], maxBytes: number, maxWaitMs: number): Promise<void> {
    const { partitionBytesMax, signal } = this.#options
    let answer: FetchAnswer
    try {
      answer = await this.#ask({
        maxWaitMs,
        maxBytes,
        isolation: 'read-committed',
        topics: topicsOf(asked, Math.min(partitionBytesMax, maxBytes)),
      })
    } catch (error) {
      if (!signal.aborted) this.#failAll(asked, error)
      return
    }
    if (signal.aborted) return
    if (answer.errorCode !== errorCode.NONE)
      return this.#failAll(asked, unavailable(this.#nodeId, answer.errorCode))
    const parts = new Map(
      answer.topics.flatMap(({ topicId, partitions }) =>
        partitions.map((part) => [nameOf(topicId, part.index), part] as const),
      ),
    )
    let bytes = 0
    for (const { records } of parts.values()) bytes += records.length
    for (const one of asked) {
      const part = parts.get(nameOf(one.topicId, one.cursor.partition))
      // Sought, paused or given back since the request was sent: what it brought is of no use.
      if (one.cursor.version !== one.version || one.cursor.isClosed) continue
      if (part === undefined)
        this.#host.onFailed(one.cursor, unavailable(this.#nodeId, errorCode.UNKNOWN_SERVER_ERROR))
      else this.#take(one, part, bytes)
    }
  }

  async #ask(request: FetchRequest): Promise<FetchAnswer> {
    const { cluster, connections, signal } = this.#options
    using deadline = new Deadline(
      cluster.options.requestTimeoutMs + request.maxWaitMs,
      `fetching from broker ${this.#nodeId}`,
      signal,
    )
    const connection = await connections.to(await cluster.address(this.#nodeId, deadline), deadline)
    try {
      return await deadline.race(connection.call(fetch, request, { waitMs: deadline.remainingMs }))
    } catch (error) {
      // A connection that has gone silent looks open for many minutes.
      connection.close()
      throw error
    }
  }

  #take({ cursor, topicId, fetchOffset }: Asked, part: PartitionFetch, answerBytes: number): void {
    if (mayPass(part.errorCode)) return this.#refuse(cursor, part.errorCode)
    if (part.errorCode === errorCode.OFFSET_OUT_OF_RANGE)
      return this.#host.onHalted(cursor, outOfRange(cursor, fetchOffset))
    if (part.errorCode !== errorCode.NONE)
      return this.#host.onHalted(cursor, unreadable(cursor, fetchOffset, describeCode(part.errorCode)))
    const { logStartOffset, lastStableOffset, highWatermark } = part
    cursor.succeed()
    const log = { logStartOffset, lastStableOffset, highWatermark }
    cursor.describe(log)
    let nextOffset: bigint | undefined
    try {
      nextOffset = offsetBehind(part.records)
    } catch (error) {
      return this.#host.onHalted(cursor, unreadable(cursor, fetchOffset, error))
    }
    if (nextOffset === undefined) return // nothing there, or not a whole batch: others took the bytes
    if (nextOffset <= fetchOffset)
      return this.#host.onHalted(cursor, unreadable(cursor, fetchOffset, `the answer ends at ${nextOffset}`))
    cursor.accept({
      topicId,
      fetchedOffset: fetchOffset,
      nextOffset,
      ...log,
      // One of several: a copy, or a batch that waits long keeps the whole answer in memory.
      bytes: part.records.length * 2 < answerBytes ? Buffer.from(part.records) : part.records,
      aborted: part.aborted,
    })
    this.#host.onAccepted(cursor)
  }

  /** The look-up finds out what it is, except that Read is missing where Describe is not. */
  #refuse(cursor: PartitionCursor, code: number): void {
    const error = topicUnavailable(cursor.topic, code, fetch)
    // Brokers learn of a new ACL one after the other.
    const isDenied = error.code === 'KAFKA_AUTHORIZATION_FAILED'
    if (isDenied && cursor.failingMs >= this.#options.patienceMs) this.#host.onHalted(cursor, error)
    else this.#host.onFailed(cursor, error)
  }

  #failAll(asked: readonly Asked[], error: unknown): void {
    const failure = OutboxError.is(error) ? error : unavailable(this.#nodeId, error)
    for (const { cursor } of asked) {
      if (cursor.isClosed) continue
      // Refused for good (a wrong password, a broker too old, an answer that cannot be read), or away for a while.
      if (failure.code === 'KAFKA_UNAVAILABLE') this.#host.onFailed(cursor, failure)
      else this.#host.onHalted(cursor, failure)
    }
  }
}

/** Looked up again; the look-up finds out whether the topic was deleted, created again, or is not for this principal. */
const mayPass = (code: number): boolean =>
  code !== errorCode.NONE && (topicNotReady.has(code) || failureClassOf(code).endsWith('retriable'))

const nameOf = (topicId: string, partition: number): string => `${topicId}:${partition}`

function askedOf(cursor: PartitionCursor): Asked[] {
  const { topicId, version, fetchOffset } = cursor
  return topicId === undefined ? [] : [{ cursor, topicId, version, fetchOffset }]
}

function topicsOf(asked: readonly Asked[], maxBytes: number): FetchRequest['topics'] {
  const topics = new Map<string, { index: number; fetchOffset: bigint; maxBytes: number }[]>()
  for (const { cursor, topicId, fetchOffset } of asked) {
    const partition = { index: cursor.partition, fetchOffset, maxBytes }
    const partitions = topics.get(topicId)
    if (partitions === undefined) topics.set(topicId, [partition])
    else partitions.push(partition)
  }
  return [...topics].map(([topicId, partitions]) => ({ topicId, partitions }))
}

const placeOf = ({ topic, partition }: PartitionCursor): string => `${topic}-${partition}`

function outOfRange(cursor: PartitionCursor, offset: bigint): OutboxError {
  const { topic, partition, topicId } = cursor
  return new OutboxError(
    'KAFKA_OFFSET_OUT_OF_RANGE',
    `${placeOf(cursor)}: the log does not hold offset ${offset}`,
    { details: { topic, partition, topicId, offset: String(offset) } },
  )
}

function unreadable(cursor: PartitionCursor, offset: bigint, cause: unknown): OutboxError {
  if (OutboxError.is(cause)) return cause
  const { topic, partition } = cursor
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new OutboxError(
    'KAFKA_PROTOCOL',
    `${placeOf(cursor)}: what was fetched at offset ${offset} cannot be read: ${reason}`,
    { cause, details: { topic, partition, offset: String(offset) } },
  )
}

function unavailable(nodeId: number, cause: unknown): OutboxError {
  const reason =
    typeof cause === 'number' ? describeCode(cause) : cause instanceof Error ? cause.message : String(cause)
  return new OutboxError('KAFKA_UNAVAILABLE', `fetching from broker ${nodeId}: ${reason}`, {
    cause,
    details: { nodeId },
  })
}
