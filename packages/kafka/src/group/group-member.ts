import { delay, LinkedSignal, nextDelayMs, OutboxError } from '@oncebox/core'
import type { KafkaClient } from '../client.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { within } from '../options.js'
import type { PartitionAddress } from '../partition-offsets.js'
import { leaveGroup } from '../protocol/leave-group.js'
import type { TopicPartitions } from './consumer-protocol.js'
import { FixedAssignment } from './fixed-assignment.js'
import { Generation } from './generation.js'
import { GroupCoordinator } from './group-coordinator.js'
import { commitAs, type GroupMetadata, type GroupOffset } from './group-offsets.js'
import { GroupJoin, type Joined } from './group-join.js'
import { GroupTopics, type AssignedPartition } from './group-topics.js'

export interface GroupMemberOptions {
  readonly groupId: string
  /** Topics that do not exist yet are looked for, and shared out when they do. */
  readonly topics: readonly string[]
  /** Topics that match one of them belong to it as well, also those that are created later. Looked at every five seconds. */
  readonly patterns?: readonly RegExp[]
  /**
   * Partitions of `topics` that it has for good, in place of what the group would share out: nobody takes over, and offsets are
   * committed only while the group has no members.
   */
  readonly assign?: readonly PartitionAddress[]
  /**
   * Told of each assignment. Resolves when nothing of it is in hand any more, which has to be soon after `ending` is
   * aborted: the group waits for it, for half of `rebalanceTimeoutMs`; then `lost` is aborted too.
   */
  readonly onAssigned: (assignment: GroupAssignment) => Promise<void>
  /** The member has ended by itself: nothing but a person can help. */
  readonly onFailed: (error: OutboxError) => void
  /** Something is away, or the membership was lost; it goes on by itself. */
  readonly onTrouble?: (error: OutboxError) => void
  /** A member that is not heard of for so long loses its partitions. Default 30,000; 1,000 to 3,600,000. */
  readonly sessionTimeoutMs?: number
  /** Sent also while handlers run. Default 3,000, or a third of the session timeout. */
  readonly heartbeatIntervalMs?: number
  /**
   * Makes it a static member (KIP-345): when it leaves, its partitions wait for it for the session timeout, and when it is back
   * by then under the same id, nobody rebalances. One process at a time: an older one with the same id is refused.
   */
  readonly groupInstanceId?: string
  /** How long the group waits for its members to finish what they have in hand. Default 60,000. */
  readonly rebalanceTimeoutMs?: number
}

/** What a member has in one generation of its group. */
export interface GroupAssignment {
  /** Goes into a session's transaction with the offsets: a member that has lost its partitions is refused there. */
  readonly metadata: GroupMetadata
  readonly partitions: readonly AssignedPartition[]
  /** Aborted when the group rebalances, or the member leaves: finish what is in hand, begin nothing. */
  readonly ending: AbortSignal
  /** Aborted when the partitions are, or may be, somebody else's: give up what is in hand. */
  readonly lost: AbortSignal
  /**
   * Commits offsets to Kafka as the member of this generation.
   * @throws OutboxError KAFKA_GROUP_FENCED when it is over; KAFKA_UNAVAILABLE after 30 s, or `deadlineMs`
   */
  commitOffsets(
    offsets: readonly GroupOffset[],
    options?: { readonly deadlineMs?: number; readonly signal?: AbortSignal },
  ): Promise<void>
}

/** A member of a consumer group. */
export interface GroupMember extends AsyncDisposable {
  /**
   * Leaves the group, so that the others need not wait; a static member only ends. Before that it waits for what is in hand as a rebalance does, or
   * for `waitMs` at most.
   */
  leave(options?: { readonly waitMs?: number }): Promise<void>
}

const joinBackoff = { minMs: 200, maxMs: 10_000 }
const leaveDeadlineMs = 3_000
const commitDeadlineMs = 30_000

/**
 * Joins a consumer group, and stays in it until leave(). Who assigns partitions, and how the members are told, is Kafka's
 * classic group protocol; what is fetched, and where from, is the owner's.
 *
 * @example
 * const member = joinGroup(client, {
 *   groupId: 'billing',
 *   topics: ['orders'],
 *   onAssigned: async ({ partitions, ending }) => {
 *     const loop = startFetching(client, { ... })
 *     loop.assign(await positionsOf(partitions))
 *     await once(ending, 'abort')
 *     await loop.stop()
 *   },
 *   onFailed: (error) => alarm(error),
 * })
 * @throws OutboxError KAFKA_OPTIONS_INVALID
 */
export function joinGroup(client: KafkaClient, options: GroupMemberOptions): GroupMember {
  return new Member(clusterOf(client), options)
}

class Member implements GroupMember {
  readonly #options: GroupMemberOptions
  readonly #coordinator: GroupCoordinator
  readonly #topics: GroupTopics
  readonly #join: GroupJoin | FixedAssignment
  readonly #sessionTimeoutMs: number
  readonly #heartbeatIntervalMs: number
  readonly #rebalanceTimeoutMs: number
  readonly #leaving = new AbortController()
  /** Aborted when what is in hand is not waited for any longer. */
  readonly #impatient = new AbortController()
  readonly #running: Promise<void>
  #generation: Generation | undefined

  constructor(cluster: Cluster, options: GroupMemberOptions) {
    this.#options = options
    const { sessionTimeoutMs, heartbeatIntervalMs, rebalanceTimeoutMs } = options
    this.#sessionTimeoutMs = within('sessionTimeoutMs', sessionTimeoutMs ?? 30_000, 1_000, 3_600_000)
    this.#rebalanceTimeoutMs = within('rebalanceTimeoutMs', rebalanceTimeoutMs ?? 60_000, 1_000, 3_600_000)
    this.#heartbeatIntervalMs = within(
      'heartbeatIntervalMs',
      heartbeatIntervalMs ?? Math.min(3_000, Math.floor(this.#sessionTimeoutMs / 3)),
      50,
      Math.floor(this.#sessionTimeoutMs / 2),
    )
    const { patterns = [] } = options
    if (options.topics.length + patterns.length === 0)
      throw new OutboxError('KAFKA_OPTIONS_INVALID', 'topics is empty')
    const topics = [...new Set(options.topics)]
    this.#coordinator = new GroupCoordinator(cluster, options.groupId)
    this.#topics = new GroupTopics(cluster, {
      groupId: options.groupId,
      topics,
      // Without a state of their own: a sticky or global one remembers where it matched.
      patterns: patterns.map(({ source, flags }) => new RegExp(source, flags.replaceAll(/[gy]/g, ''))),
      onTrouble: (error) => options.onTrouble?.(error),
    })
    this.#join =
      options.assign === undefined
        ? new GroupJoin(cluster, this.#coordinator, {
            groupInstanceId: options.groupInstanceId ?? null,
            sessionTimeoutMs: this.#sessionTimeoutMs,
            rebalanceTimeoutMs: this.#rebalanceTimeoutMs,
          })
        : new FixedAssignment(options.groupId, options.assign)
    this.#running = this.#run()
  }

  async leave({ waitMs }: { readonly waitMs?: number } = {}): Promise<void> {
    const left = leaving(this.#options.groupId)
    this.#leaving.abort(left)
    this.#generation?.end(left)
    const timer = waitMs === undefined ? undefined : setTimeout(() => this.#impatient.abort(), waitMs)
    try {
      await this.#running
    } finally {
      clearTimeout(timer)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave()
  }

  /** One generation after another, until it is to leave or something ends it for good. */
  async #run(): Promise<void> {
    const { signal } = this.#leaving
    try {
      let isAllowed = false
      for (let failures = 0; !signal.aborted;) {
        try {
          if (!isAllowed) await this.#topics.lookUp(signal)
          isAllowed = true
          const subscribed = await this.#topics.subscribed(signal)
          const joined = await this.#join.join(subscribed, signal)
          failures = 0
          await this.#serve(joined, subscribed)
        } catch (error) {
          if (signal.aborted) break
          const failure = toOutboxError(error, this.#options.groupId)
          if (!failure.retriable) return this.#options.onFailed(failure)
          failures += 1
          this.#options.onTrouble?.(failure)
          await delay(nextDelayMs(joinBackoff, failures), signal).catch(() => undefined)
        }
      }
    } finally {
      await this.#leave()
      await this.#coordinator.close()
    }
  }

  /** From the first heartbeat of a generation until nothing of it is in hand, or the group cannot wait any longer. */
  async #serve(
    { metadata, assigned, partitionCounts }: Joined,
    subscribed: readonly string[],
  ): Promise<void> {
    const generation = new Generation({
      metadata,
      coordinator: this.#coordinator,
      sessionTimeoutMs: this.#sessionTimeoutMs,
      heartbeatIntervalMs: this.#heartbeatIntervalMs,
    })
    const trouble = (error: OutboxError): void => this.#options.onTrouble?.(error)
    const failures: unknown[] = []
    // Whichever of the three breaks takes the generation with it.
    const guarded = (task: Promise<void>): Promise<void> =>
      task.catch((error: unknown) => {
        failures.push(error)
        generation.lose(toOutboxError(error, metadata.groupId))
      })
    const expected = new Map(partitionCounts)
    this.#generation = generation
    if (this.#leaving.signal.aborted) generation.end(leaving(metadata.groupId))
    // Nobody waits for a heartbeat of partitions that are given.
    const beating = this.#options.assign === undefined ? guarded(generation.beat(trouble)) : Promise.resolve()
    const watching = guarded(this.#watch(subscribed, expected, generation))
    const working = guarded(this.#work(assigned, expected, generation))

    await aborted(generation.ending)
    using noLonger = new LinkedSignal(generation.lost, this.#impatient.signal)
    if (!(await settlesWithin(working, this.#rebalanceTimeoutMs / 2, noLonger.signal))) {
      generation.lose(waitedTooLong(metadata))
      await settlesWithin(working, this.#rebalanceTimeoutMs / 4, this.#impatient.signal)
    }
    generation.close()
    this.#generation = undefined
    await Promise.all([beating, watching])
    if (failures.length > 0) throw failures[0]
    if (generation.lost.aborted) trouble(toOutboxError(generation.lost.reason, metadata.groupId))
  }

  async #work(
    assigned: readonly TopicPartitions[],
    expected: Map<string, number>,
    generation: Generation,
  ): Promise<void> {
    const partitions = await this.#topics.name(assigned, expected, generation.ending)
    if (generation.ending.aborted) return
    await this.#options.onAssigned({
      metadata: generation.metadata,
      partitions,
      ending: generation.ending,
      lost: generation.lost,
      commitOffsets: (offsets, options = {}) => this.#commit(generation, offsets, options),
    })
  }

  /** Ends the generation when what was shared out is not what is there any more. */
  async #watch(
    subscribed: readonly string[],
    expected: ReadonlyMap<string, number>,
    generation: Generation,
  ): Promise<void> {
    const changed = await this.#topics.watch(subscribed, expected, generation.ending)
    if (changed !== undefined) generation.end(topicChanged(generation.metadata, changed))
  }

  async #commit(
    generation: Generation,
    offsets: readonly GroupOffset[],
    {
      deadlineMs = commitDeadlineMs,
      signal,
    }: { readonly deadlineMs?: number; readonly signal?: AbortSignal },
  ): Promise<void> {
    using deadline = new Deadline(
      deadlineMs,
      `committing offsets of group ${generation.metadata.groupId}`,
      signal,
    )
    try {
      await commitAs(generation.metadata, this.#coordinator, offsets, deadline)
    } catch (error) {
      // Refused for its generation: the next heartbeat would say the same, some time later.
      if (OutboxError.is(error, 'KAFKA_GROUP_FENCED')) generation.lose(error)
      throw error
    }
  }

  /** Tells the group, so that it need not wait for the session timeout. Best effort: the coordinator may be away. */
  async #leave(): Promise<void> {
    const { memberId } = this.#join
    if (memberId === '' || this.#options.groupInstanceId !== undefined) return
    using deadline = new Deadline(leaveDeadlineMs, `leaving group ${this.#options.groupId}`)
    await this.#coordinator
      .ask(leaveGroup, { groupId: this.#options.groupId, memberId, groupInstanceId: null }, deadline)
      .catch(() => undefined)
  }
}

const leaving = (groupId: string): OutboxError =>
  new OutboxError('KAFKA_SESSION_CLOSED', `the member leaves group ${groupId}`)

const topicChanged = (metadata: GroupMetadata, topic: string): OutboxError =>
  new OutboxError(
    'KAFKA_GROUP_FENCED',
    `group ${metadata.groupId}: ${topic} has partitions that were not shared out, or has lost some`,
    { details: { ...metadata, topic } },
  )

const waitedTooLong = (metadata: GroupMetadata): OutboxError =>
  new OutboxError(
    'KAFKA_GROUP_FENCED',
    `group ${metadata.groupId}: what was in hand was not finished in time, and is not waited for any longer`,
    { details: { ...metadata } },
  )

function toOutboxError(error: unknown, groupId: string): OutboxError {
  if (OutboxError.is(error)) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new OutboxError('KAFKA_PROTOCOL', `group ${groupId}: ${reason}`, {
    cause: error,
    details: { groupId },
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** Whether the promise settles before the time is over, or the signal is aborted. */
async function settlesWithin(promise: Promise<unknown>, ms: number, signal: AbortSignal): Promise<boolean> {
  using waits = new LinkedSignal(signal)
  const timer = setTimeout(() => waits.abort(undefined), ms)
  try {
    return await Promise.race([
      promise.then(
        () => true,
        () => true,
      ),
      aborted(waits.signal).then(() => false),
    ])
  } finally {
    clearTimeout(timer)
  }
}
