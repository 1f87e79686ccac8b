import { delay, invariant, nextDelayMs, OutboxError } from '@oncebox/core'
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import type { FetchControls, TopicPartition } from './assignment.js'
import { Heartbeats } from './heartbeats.js'
import type { ResolvedConsumerOptions } from './options.js'
import type { BatchControls, FetchedBatch } from './partition.js'

/** What the group's client tells its owner. */
export interface GroupEvents {
  /** Called before anything of the new assignment can be fetched. */
  readonly onAssigned: (partitions: readonly TopicPartition[], fetches: FetchControls) => void
  readonly onBatch: (
    at: TopicPartition,
    batch: FetchedBatch,
    controls: BatchControls,
    fetches: FetchControls,
  ) => Promise<void>
  /** Records from `first` to `last` were passed over: markers and aborted transactions. */
  readonly onPassedOver: (at: TopicPartition, first: bigint, last: bigint, fetches: FetchControls) => void
  /** The membership is lost, or a rebalance has waited for handlers long enough. */
  readonly onRevoked: () => void
  /** The client broke and is built again. */
  readonly onRestart: (error: unknown) => void
  readonly onFatal: (error: OutboxError) => void
}

type GroupOptions = Pick<
  ResolvedConsumerOptions<unknown>,
  | 'group'
  | 'topics'
  | 'concurrency'
  | 'sessionTimeoutMs'
  | 'heartbeatIntervalMs'
  | 'rebalanceTimeoutMs'
  | 'fetch'
>

const restartBackoff = { minMs: 200, maxMs: 10_000 }
const metadataMaxAgeMs = 60_000
const rebalancing = new Set([
  'REBALANCE_IN_PROGRESS',
  'NOT_COORDINATOR_FOR_GROUP',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
])
const lost = new Set(['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID'])

/**
 * A member of a Kafka consumer group, on kafkajs's consumer. kafkajs gives up for good on errors that it takes for
 * final; this client is built again then, with backoff, for as long as it is wanted.
 */
export class GroupClient {
  readonly #kafka: Kafka
  readonly #options: GroupOptions
  readonly #events: GroupEvents
  readonly #stop = new AbortController()
  #running: Promise<void> | undefined
  /** Set while the group rebalances: no new event is begun. */
  #rebalanceTimer: NodeJS.Timeout | undefined
  #isRebalancing = false

  constructor(kafka: Kafka, options: GroupOptions, events: GroupEvents) {
    this.#kafka = kafka
    this.#options = options
    this.#events = events
  }

  /** Joins the group and stays in it until stop(). Returns at once. */
  start(): void {
    invariant(this.#running === undefined, 'a group client is started once')
    this.#running = this.#supervise()
  }

  /** Finishes the events in hand and leaves the group. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
    clearTimeout(this.#rebalanceTimer)
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stop
    for (let failures = 0; !signal.aborted;) {
      const startedAt = performance.now()
      try {
        await this.#member(signal)
      } catch (error) {
        if (signal.aborted) return
        const fatal = fatalError(error, this.#options)
        if (fatal !== undefined) return this.#events.onFatal(fatal)
        // A member that worked for a while starts the backoff anew.
        failures = performance.now() - startedAt > 60_000 ? 1 : failures + 1
        this.#events.onRestart(error)
        await delay(nextDelayMs(restartBackoff, failures), signal).catch(() => undefined)
      }
    }
  }

  /** One client, from connect to its crash or the stop. */
  async #member(signal: AbortSignal): Promise<void> {
    const { group, topics, sessionTimeoutMs, heartbeatIntervalMs, rebalanceTimeoutMs, fetch, concurrency } =
      this.#options
    const consumer = this.#kafka.consumer({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs,
      heartbeatInterval: heartbeatIntervalMs,
      maxBytes: fetch.bytesMax,
      maxBytesPerPartition: fetch.partitionBytesMax,
      maxWaitTimeInMs: fetch.waitMsMax,
      metadataMaxAge: metadataMaxAgeMs,
      allowAutoTopicCreation: false,
      readUncommitted: false,
      // The restart is ours: kafkajs restarts on some errors only, on the same client.
      retry: { restartOnFailure: async () => false },
    })
    const crash = new Promise<never>((_, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    })
    crash.catch(() => undefined) // raced below; a crash during the stop is nobody's concern
    const fetches = fetchControlsOf(consumer)
    this.#listen(consumer, fetches)
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [...topics.keys()], fromBeginning: true })
      // Resolves when the group was joined, or when joining crashed.
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: concurrency,
        eachBatch: (payload) => this.#eachBatch(payload, fetches),
      })
      await Promise.race([crash, aborted(signal)])
    } finally {
      await consumer.disconnect().catch(() => undefined)
      // Whatever still wants to pause or place partitions of this client would find it gone.
      this.#events.onRevoked()
    }
  }

  #listen(consumer: Consumer, fetches: FetchControls): void {
    // Listeners run inside emit: GROUP_JOIN is emitted before the first fetch of the new assignment.
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      // A join cannot be given up: the group may let this member in long after the stop. It leaves again.
      if (this.#stop.signal.aborted) return this.#events.onRevoked()
      this.#isRebalancing = false
      clearTimeout(this.#rebalanceTimer)
      this.#rebalanceTimer = undefined
      this.#events.onAssigned(
        Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
          partitions.map((partition) => ({ topic, partition })),
        ),
        fetches,
      )
    })
    consumer.on(consumer.events.REBALANCING, () => this.#rebalance())
    // Batches of which nothing is left after filtering never reach eachBatch, but move kafkajs's offset.
    consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize !== 0 || payload.firstOffset === null) return
      this.#events.onPassedOver(payload, BigInt(payload.firstOffset), BigInt(payload.lastOffset), fetches)
    })
  }

  async #eachBatch(payload: EachBatchPayload, fetches: FetchControls): Promise<void> {
    const { batch } = payload
    let membershipError: unknown
    const onMembershipError = (error: unknown): void => {
      const type = typeOf(error)
      if (type === undefined || !rebalancing.has(type)) return
      membershipError = error
      if (lost.has(type)) this.#events.onRevoked()
      this.#rebalance()
    }
    const heartbeats = new Heartbeats(
      this.#options.heartbeatIntervalMs,
      () => payload.heartbeat(),
      onMembershipError,
    )
    const controls: BatchControls = {
      isStopping: () =>
        this.#stop.signal.aborted || this.#isRebalancing || !payload.isRunning() || payload.isStale(),
      resolve: (offset) => payload.resolveOffset(offset),
      commit: async (next) => {
        const partitions = [{ partition: batch.partition, offset: String(next) }]
        await payload
          .commitOffsetsIfNecessary({ topics: [{ topic: batch.topic, partitions }] })
          .catch(onMembershipError)
      },
    }
    const fetched = {
      fetchedOffset: fetchedOffsetOf(batch),
      lastOffset: BigInt(batch.lastOffset()),
      messages: batch.messages,
    }
    try {
      await this.#events.onBatch(batch, fetched, controls, fetches)
    } finally {
      await heartbeats.stop()
    }
    // kafkajs joins again when it sees this error.
    if (membershipError !== undefined) throw membershipError
  }

  /** Handlers may finish; after half of what the group waits for, they are asked to give up. */
  #rebalance(): void {
    if (this.#isRebalancing) return
    this.#isRebalancing = true
    this.#rebalanceTimer = setTimeout(() => this.#events.onRevoked(), this.#options.rebalanceTimeoutMs / 2)
  }
}

function fetchControlsOf(consumer: Consumer): FetchControls {
  const grouped = (partitions: readonly TopicPartition[]): { topic: string; partitions: number[] }[] =>
    partitions.map(({ topic, partition }) => ({ topic, partitions: [partition] }))
  return {
    pause: (partitions) => consumer.pause(grouped(partitions)),
    resume: (partitions) => consumer.resume(grouped(partitions)),
    seek: ({ topic, partition, offset }) => consumer.seek({ topic, partition, offset: String(offset) }),
  }
}

/**
 * Where the fetch of a batch began. A public field of kafkajs's batch that its types leave out; the first record's
 * offset is no substitute, since compaction and aborted transactions leave gaps.
 */
function fetchedOffsetOf(batch: object): bigint {
  invariant('fetchedOffset' in batch, 'kafkajs 2.2.4 names the offset of a fetch')
  return BigInt(String(batch.fetchedOffset))
}

const typeOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'type' in error && typeof error.type === 'string'
    ? error.type
    : undefined

/** Errors that only a person can cure: a wrong password, a missing ACL. */
function fatalError(
  error: unknown,
  { topics, group }: Pick<GroupOptions, 'topics' | 'group'>,
): OutboxError | undefined {
  const message = error instanceof Error ? error.message : String(error)
  // kafkajs does not say which topic it is.
  const names = { TOPIC: [...topics.keys()].join(', '), GROUP: group } as const
  let current = error
  for (let depth = 0; depth < 8 && typeof current === 'object' && current !== null; depth += 1) {
    const [, resource] = /^(TOPIC|GROUP)_AUTHORIZATION_FAILED$/.exec(typeOf(current) ?? '') ?? []
    if (resource === 'TOPIC' || resource === 'GROUP') {
      const [resourceType, resourceName] = [resource.toLowerCase(), names[resource]]
      return new OutboxError(
        'KAFKA_AUTHORIZATION_FAILED',
        `${message}: this principal lacks the ACL Read on ${resourceType} ${resourceName}`,
        { cause: error, details: { operation: 'Read', resourceType, resourceName } },
      )
    }
    if ('name' in current && current.name === 'KafkaJSSASLAuthenticationError')
      return new OutboxError('KAFKA_AUTHENTICATION_FAILED', message, { cause: error })
    current =
      'cause' in current ? current.cause : 'originalError' in current ? current.originalError : undefined
  }
  return undefined
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
