import { delay, LinkedSignal, nextDelayMs, OutboxError } from '@oncebox/core'
import { startFetching, type FetchedBatch, type FetchLoop, type PartitionAddress } from '@oncebox/kafka'
import { lagOfPartitions } from '../lag/lag-of-partitions.js'
import type { PartitionLag } from '../lag/partition-lag.js'
import type { Generation, Mode } from '../modes/mode.js'
import type { ResolvedCommonOptions } from '../resolved-options.js'
import type { Reporter } from '../report.js'
import { duePart } from '../retrying/due-part.js'
import { Partition, type Runners } from './partition.js'
import type { Pauses } from './pauses.js'

interface AssignmentHooks {
  /** All partitions are positioned. */
  readonly onPositioned: () => void
  /** Nothing but a person can help. */
  readonly onFatal: (error: OutboxError) => void
}

const doubtBackoff = { minMs: 50, maxMs: 5_000 }
const nameOf = ({ topic, partition }: PartitionAddress): string => `${topic}\n${partition}`

/** Errors of a partition that only a person can cure. */
const final: ReadonlySet<unknown> = new Set([
  'CONSUMER_POSITION_OUT_OF_RANGE',
  'CONSUMER_EVENT_STUCK',
  'CONSUMER_DATABASE_REFUSED',
  'KAFKA_TRANSACTION_TORN',
  'CONSUMER_REDIS_AMNESIA',
  'CONSUMER_REDIS_EVICTS',
  'CONSUMER_REDIS_UNSUPPORTED',
  'CONSUMER_DEDUP_WINDOW_TOO_SHORT',
  'KAFKA_AUTHENTICATION_FAILED',
  'KAFKA_AUTHORIZATION_FAILED',
  'KAFKA_TLS_FAILED',
  'KAFKA_UNSUPPORTED',
])

/**
 * The partitions that this member has in one generation of its group. Nothing of a partition is fetched before its position
 * is read, from wherever its mode keeps it. Any doubt about a position drops what is in memory and reads it again.
 */
export class Assignment<Context> {
  readonly #generation: Generation
  readonly #mode: Mode<Context>
  readonly #options: ResolvedCommonOptions
  readonly #runners: Runners<Context>
  readonly #report: Reporter
  readonly #pauses: Pauses
  readonly #hooks: AssignmentHooks
  readonly #loop: FetchLoop
  readonly #partitions = new Map<string, Partition<Context>>()
  /** Doubts in a row. */
  readonly #doubts = new Map<string, number>()
  /** Partitions with a batch in hand, also those that are in doubt. */
  readonly #inHand = new Set<Partition<Context>>()
  readonly #tasks = new Set<Promise<void>>()
  /** Aborted when no position is to be read any more. */
  readonly #ended = new AbortController()

  constructor(
    generation: Generation,
    mode: Mode<Context>,
    options: ResolvedCommonOptions,
    runners: Runners<Context>,
    report: Reporter,
    pauses: Pauses,
    hooks: AssignmentHooks,
  ) {
    this.#generation = generation
    this.#mode = mode
    this.#options = options
    this.#runners = runners
    this.#report = report
    this.#pauses = pauses
    this.#hooks = hooks
    this.#loop = startFetching(generation.client, {
      concurrency: options.concurrency,
      ...options.fetch,
      onBatch: (batch) => this.#handle(batch),
      onHalted: (at, error) => this.#halted(at, error),
      onTrouble: (error) => report.restarting(error),
    })
  }

  /** Server processes of the transactions in hand. */
  get backends(): readonly number[] {
    return [...this.#inHand].flatMap(({ effects }) => [...effects.backends])
  }

  get assigned(): readonly PartitionAddress[] {
    return this.#generation.assignment.partitions
  }

  /** Of the partitions whose position is known. */
  lag(signal: AbortSignal): Promise<readonly PartitionLag[]> {
    const sources = {
      progress: (key: PartitionAddress) => this.#loop.progress(key),
      topicOffsets: this.#generation.topicOffsets,
    }
    return lagOfPartitions([...this.#partitions.values()], sources, signal)
  }

  /** From the positions to the last batch in hand; ends when the generation does, or after end(). */
  async run(): Promise<void> {
    const { ending, lost, partitions } = this.#generation.assignment
    const onLost = (): void => this.abort(revoked())
    const onEnding = (): void => this.#ended.abort(revoked())
    lost.addEventListener('abort', onLost, { once: true })
    ending.addEventListener('abort', onEnding, { once: true })
    try {
      if (lost.aborted) onLost()
      if (ending.aborted) onEnding()
      this.#start(this.#positionAll(partitions))
      await aborted(this.#ended.signal)
      await this.#loop.stop()
      while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks)
      await Promise.allSettled([...this.#partitions.values()].map(({ effects }) => effects.close()))
    } finally {
      lost.removeEventListener('abort', onLost)
      ending.removeEventListener('abort', onEnding)
    }
  }

  /** Begins nothing more of the partitions that are paused by now, and goes on with the others. */
  obeyPauses(): void {
    const keys = [...this.#partitions.values()].map(({ key }) => key)
    this.#loop.pause(keys.filter((key) => this.#pauses.has(key)))
    this.#loop.resume(keys.filter((key) => !this.#pauses.has(key)))
  }

  /** Begins no other event; run() ends when those in hand are finished. */
  end(): void {
    this.#ended.abort(revoked())
  }

  /** Gives up everything in hand. Handlers see their signal aborted. */
  abort(reason: Error): void {
    this.#ended.abort(reason)
    for (const partition of this.#inHand) partition.abort(reason)
    for (const partition of this.#partitions.values()) {
      partition.abort(reason)
      this.#start(partition.effects.close().catch(() => undefined))
    }
    this.#partitions.clear()
  }

  async #positionAll(partitions: readonly PartitionAddress[]): Promise<void> {
    const topics = [...new Set(partitions.map(({ topic }) => topic))]
    const positioned = await Promise.all(
      topics.map((topic) =>
        this.#position(
          topic,
          partitions.filter((one) => one.topic === topic).map(({ partition }) => partition),
        ),
      ),
    )
    if (!positioned.every(Boolean)) return
    this.#report.assigned(partitions.map(({ topic, partition }) => ({ topic, partition })))
    this.#hooks.onPositioned()
  }

  /** Reads positions and begins to fetch there; false when the generation has ended before. */
  async #position(topic: string, partitions: readonly number[]): Promise<boolean> {
    const { signal } = this.#ended
    for (let failures = 0; !signal.aborted;) {
      try {
        const opened = await this.#mode.open(this.#generation, topic, partitions, signal)
        if (signal.aborted) {
          await Promise.allSettled(opened.map((effects) => effects.close()))
          return false
        }
        for (const effects of opened)
          this.#partitions.set(nameOf(effects.key), new Partition(this.#options, this.#runners, effects))
        this.#loop.assign(opened.map(({ key, next }) => ({ ...key, offset: next })))
        this.#loop.pause(opened.map(({ key }) => key).filter((key) => this.#pauses.has(key)))
        return true
      } catch (error) {
        if (signal.aborted) return false
        if (OutboxError.is(error) && final.has(error.code)) {
          this.#hooks.onFatal(error)
          return false
        }
        failures += 1
        this.#report.repositioning(topic, partitions[0] ?? 0, error)
        await delay(nextDelayMs(doubtBackoff, failures), signal).catch(() => undefined)
      }
    }
    return false
  }

  async #handle(fetched: FetchedBatch): Promise<void> {
    const name = nameOf(fetched)
    const partition = this.#partitions.get(name)
    if (partition === undefined) return
    const isRetryTopic = this.#options.tiers?.of(fetched.topic) !== undefined
    const { batch, waitMs } = isRetryTopic
      ? duePart(fetched, Date.now())
      : { batch: fetched, waitMs: undefined }
    this.#inHand.add(partition)
    try {
      const { signal: ended } = this.#ended
      await partition.handle(batch, () => ended.aborted || this.#pauses.has(batch), ended)
      // Paused inside the batch: what is left of it is fetched again.
      if (partition.next !== batch.nextOffset) this.#loop.seek(batch, partition.next)
      this.#doubts.delete(name)
      if (waitMs !== undefined) this.#hold(partition, waitMs)
    } catch (error) {
      if (partition.signal.aborted) return
      if (OutboxError.is(error) && final.has(error.code)) return this.#hooks.onFatal(error)
      this.#doubt(partition, error)
    } finally {
      this.#inHand.delete(partition)
    }
  }

  /** What is not due yet waits in Kafka: it holds no place of a partition that has something to do, and no memory. */
  #hold(partition: Partition<Context>, waitMs: number): void {
    const { key, next } = partition
    this.#loop.pause([key])
    this.#loop.seek(key, next)
    const wanted = new LinkedSignal(this.#ended.signal, partition.signal)
    const waited = delay(waitMs, wanted.signal).finally(() => wanted[Symbol.dispose]())
    this.#start(
      waited.then(
        () => {
          if (!this.#pauses.has(key)) this.#loop.resume([key])
        },
        () => undefined,
      ),
    )
  }

  #halted(at: PartitionAddress, error: unknown): void {
    if (OutboxError.is(error) && final.has(error.code)) return this.#hooks.onFatal(error)
    const partition = this.#partitions.get(nameOf(at))
    if (partition !== undefined) this.#doubt(partition, error)
  }

  /** The position, or the topic, is not what it was: read again, and fetched from there. */
  #doubt(partition: Partition<Context>, error: unknown): void {
    const { topic, partition: number } = partition.key
    const name = nameOf(partition.key)
    if (this.#partitions.get(name) !== partition) return
    this.#partitions.delete(name)
    partition.abort(revoked())
    this.#loop.unassign([partition.key])
    this.#report.repositioning(topic, number, error)
    const count = (this.#doubts.get(name) ?? 0) + 1
    this.#doubts.set(name, count)
    const waitMs = count === 1 ? 0 : nextDelayMs(doubtBackoff, count - 1)
    const closed = partition.effects.close().catch(() => undefined)
    this.#start(
      Promise.all([closed, delay(waitMs, this.#ended.signal)]).then(
        () => this.#position(topic, [number]).then(() => undefined),
        () => undefined,
      ),
    )
  }

  #start(task: Promise<void>): void {
    const tracked = task.finally(() => this.#tasks.delete(tracked))
    this.#tasks.add(tracked)
  }
}

/** Why a handler's signal is aborted when its partition goes to somebody else. */
export const revoked = (): OutboxError =>
  new OutboxError('CONSUMER_REVOKED', 'the partition was taken away or its position is in doubt')

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
