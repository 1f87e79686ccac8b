import { delay, LinkedSignal, nextDelayMs, OutboxError } from '@oncebox/core'
import {
  connectKafka,
  joinGroup,
  readTopicOffsets,
  type GroupAssignment,
  type GroupMember,
  type KafkaClient,
} from '@oncebox/kafka'
import type { Handlers } from '../handlers.js'
import { LagMonitor } from '../lag/lag-monitor.js'
import type { PartitionLag } from '../lag/partition-lag.js'
import type { Background, Mode } from '../modes/mode.js'
import { eventsTogetherMax, type ResolvedCommonOptions } from '../resolved-options.js'
import type { Reporter } from '../report.js'
import { createRetryTopics } from '../retrying/create-retry-topics.js'
import { Assignment, revoked } from './assignment.js'
import { BatchRunner } from './batch-runner.js'
import { EventRunner } from './event-runner.js'
import type { Runners } from './partition.js'
import type { Pauses } from './pauses.js'

const graceMs = 1_000
const leaveMs = 5_000
const connectBackoff = { minMs: 200, maxMs: 10_000 }

/** One life of a consumer, from start to stop: its connection to Kafka, its membership, its partitions. */
export class ConsumerRun<Context> {
  readonly #options: ResolvedCommonOptions
  readonly #mode: Mode<Context>
  readonly #report: Reporter
  readonly #runners: Runners<Context>
  readonly #positioned: Promise<void>
  readonly #onPositioned: () => void
  readonly #onFatal: (error: OutboxError) => void
  readonly #stopping = new AbortController()
  readonly #lagMonitor: LagMonitor
  #starting: Promise<void> = Promise.resolve()
  #monitoring: Promise<void> = Promise.resolve()
  #client: KafkaClient | undefined
  #member: GroupMember | undefined
  /** The assignment of this generation, and those before it whose handlers have not returned. */
  readonly #assignments = new Map<Assignment<Context>, Promise<void>>()
  readonly #handlers: Handlers<Context>
  readonly #pauses: Pauses
  #background: Background | undefined

  /** @param onFatal Told once when the run cannot go on by itself; stop() has still to be called. */
  constructor(
    options: ResolvedCommonOptions,
    mode: Mode<Context>,
    handlers: Handlers<Context>,
    report: Reporter,
    pauses: Pauses,
    onFatal: (error: OutboxError) => void,
  ) {
    this.#options = options
    this.#mode = mode
    this.#report = report
    this.#handlers = handlers
    this.#pauses = pauses
    this.#runners = {
      events: new EventRunner(options, handlers, report),
      batches: new BatchRunner(options, handlers, report),
      eventsTogetherMax:
        options.eventsTogetherMax ?? (handlers.takesBatches ? eventsTogetherMax : mode.eventsTogetherMax),
      keysInParallel: options.keysInParallel,
    }
    this.#lagMonitor = new LagMonitor(options.lag, report, async (signal) => {
      const assigned = this.#current?.assigned
      return assigned && { assigned, lags: await this.lag(signal) }
    })
    let onPositioned: () => void = () => undefined
    let onFailed: (error: OutboxError) => void = () => undefined
    this.#positioned = new Promise((resolve, reject) => {
      onPositioned = resolve
      onFailed = reject
    })
    this.#positioned.catch(() => undefined) // start() may be over when it is rejected
    this.#onPositioned = onPositioned
    let isFatal = false
    this.#onFatal = (error) => {
      if (isFatal) return
      isFatal = true
      onFailed(error)
      onFatal(error)
    }
  }

  /** Resolves when the partitions of the first assignment are positioned. */
  async start(given: AbortSignal | undefined): Promise<void> {
    const { signal: stopping } = this.#stopping
    using wanted = new LinkedSignal(given, stopping)
    const { signal } = wanted
    await unlessAborted(this.#mode.prepare(signal), signal)
    signal.throwIfAborted()
    this.#background = this.#mode.startBackground?.(this.#handlers, this.#report, (asking) =>
      this.lag(asking),
    )
    this.#starting = this.#join(signal)
    await this.#starting
    await unlessAborted(this.#positioned, signal)
  }

  /** How far the partitions are behind that this member has and has positioned. */
  async lag(signal: AbortSignal): Promise<readonly PartitionLag[]> {
    const stopping = this.#stopping.signal
    using wanted = new LinkedSignal(signal, stopping)
    try {
      return (await this.#current?.lag(wanted.signal)) ?? []
    } catch (error) {
      if (stopping.aborted) return []
      throw error
    }
  }

  /** What is paused has changed. */
  obeyPauses(): void {
    this.#current?.obeyPauses()
  }

  /** Finishes the events in hand and leaves the group; after `timeoutMs` gives them up. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping.abort(
      new OutboxError('CONSUMER_OPTIONS_INVALID', 'the consumer was stopped while it started'),
    )
    await this.#starting.catch(() => undefined) // its failure is start()'s to report
    await this.#monitoring
    // The membership lasts until they are finished: heartbeats go on, and nobody else begins what is in hand here.
    const finished = this.#finish()
    if (!(await settlesWithin(finished, timeoutMs))) {
      this.#abort(
        new OutboxError('CONSUMER_STOP_TIMEOUT', `the work in hand was not finished in ${timeoutMs} ms`),
      )
      if (!(await settlesWithin(finished, graceMs))) {
        await settlesWithin(this.#endBackends(), graceMs)
        await settlesWithin(finished, graceMs)
      }
    }
    this.#abort(revoked())
    // Bounded: a statement that a silent database never answers must not hold the stop.
    await settlesWithin(this.#member?.leave({ waitMs: 0 }) ?? Promise.resolve(), leaveMs)
    await this.#client?.close()
  }

  async #join(signal: AbortSignal): Promise<void> {
    const client = await this.#whileWanted(signal, () => connectKafka(this.#options.kafka, { signal }))
    this.#client = client
    await this.#whileWanted(signal, () => createRetryTopics(client, this.#options, signal))
    const { group, topics, assign, groupInstanceId } = this.#options
    const { sessionTimeoutMs, heartbeatIntervalMs, rebalanceTimeoutMs } = this.#options
    this.#member = joinGroup(client, {
      groupId: group,
      topics: topics.names,
      patterns: topics.patterns,
      ...(assign !== undefined && { assign }),
      ...(groupInstanceId !== undefined && { groupInstanceId }),
      sessionTimeoutMs,
      heartbeatIntervalMs,
      rebalanceTimeoutMs,
      onAssigned: (assignment) => this.#work(client, assignment),
      onTrouble: (error) => this.#report.restarting(error),
      onFailed: this.#onFatal,
    })
    this.#monitoring = this.#lagMonitor.run(this.#stopping.signal)
  }

  /** Tries for as long as it is wanted, unless nothing but a person can help. */
  async #whileWanted<Result>(signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    for (let failures = 1; ; failures += 1) {
      try {
        return await work()
      } catch (error) {
        signal.throwIfAborted()
        if (OutboxError.is(error) && !error.retriable) {
          this.#onFatal(error)
          throw error
        }
        this.#report.restarting(error)
        await delay(nextDelayMs(connectBackoff, failures), signal)
      }
    }
  }

  async #work(client: KafkaClient, given: GroupAssignment): Promise<void> {
    if (this.#stopping.signal.aborted) return
    const generation = {
      client,
      assignment: given,
      topicOffsets: (topic: string, signal: AbortSignal) => readTopicOffsets(client, topic, { signal }),
    }
    const assignment = new Assignment(
      generation,
      this.#mode,
      this.#options,
      this.#runners,
      this.#report,
      this.#pauses,
      { onPositioned: this.#onPositioned, onFatal: this.#onFatal },
    )
    const running = assignment.run().finally(() => this.#assignments.delete(assignment))
    this.#assignments.set(assignment, running)
    await running
  }

  /** That of this generation. */
  get #current(): Assignment<Context> | undefined {
    return [...this.#assignments.keys()].at(-1)
  }

  async #finish(): Promise<void> {
    for (const assignment of this.#assignments.keys()) assignment.end()
    await Promise.all([...this.#assignments.values(), this.#background?.stop()])
  }

  #abort(reason: OutboxError): void {
    for (const assignment of this.#assignments.keys()) assignment.abort(reason)
    this.#background?.abort(reason)
  }

  /** A handler that ignores its signal must not commit later, nor use a connection that somebody else has by then. */
  async #endBackends(): Promise<void> {
    await this.#mode.endBackends([
      ...[...this.#assignments.keys()].flatMap(({ backends }) => backends),
      ...(this.#background?.backends ?? []),
    ])
  }
}

async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

/** The promise, or a rejection with the signal's reason, whichever is first. */
async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    if (signal.aborted) onAbort()
    await Promise.race([aborted, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
