import { delay, nextDelayMs, OutboxError } from '@oncebox/core'
import type { Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import type { Api } from '../protocol/api.js'
import { denialOf } from '../protocol/denial.js'
import { coordinatorNotReady, describeCode, errorCode } from '../protocol/error-codes.js'
import { joinGroup, type JoinGroupAnswer } from '../protocol/join-group.js'
import { leaveGroup } from '../protocol/leave-group.js'
import { syncGroup } from '../protocol/sync-group.js'
import { assignors, assignPartitions } from './assign-partitions.js'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  protocolType,
  type TopicPartitions,
} from './consumer-protocol.js'
import type { GroupCoordinator } from './group-coordinator.js'
import type { GroupMetadata } from './group-offsets.js'

/** What a member has when it has joined. */
export interface Joined {
  readonly metadata: GroupMetadata
  readonly assigned: readonly TopicPartitions[]
  /** What the assignment was made from, by topic; only the leader of the group knows. */
  readonly partitionCounts: ReadonlyMap<string, number>
}

interface GroupJoinOptions {
  readonly groupInstanceId: string | null
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
}

const backoff = { minMs: 50, maxMs: 1_000 }
/** A new member needs two turns, and a rebalance can be interrupted by the next one. */
const promptTurns = 4
const again: ReadonlySet<number> = new Set([errorCode.REBALANCE_IN_PROGRESS, errorCode.ILLEGAL_GENERATION])

/** Takes a member into the next generation of its group: JoinGroup, then SyncGroup, and the assigning if it is the leader. */
export class GroupJoin {
  readonly #cluster: Cluster
  readonly #coordinator: GroupCoordinator
  readonly #options: GroupJoinOptions
  /** Kept from one join to the next, also when a join is never answered: another id would leave a ghost in the group. */
  #memberId = ''
  #topics: readonly string[] = []

  constructor(cluster: Cluster, coordinator: GroupCoordinator, options: GroupJoinOptions) {
    this.#cluster = cluster
    this.#coordinator = coordinator
    this.#options = options
  }

  /** Empty before the coordinator has given one. */
  get memberId(): string {
    return this.#memberId
  }

  /** @throws OutboxError KAFKA_GROUP_REFUSED, KAFKA_AUTHORIZATION_FAILED, KAFKA_UNAVAILABLE; the signal's reason */
  async join(topics: readonly string[], signal: AbortSignal): Promise<Joined> {
    this.#topics = topics
    for (let turn = 1; ; turn++) {
      const joined = await this.#try(signal)
      if (joined !== undefined) return joined
      await delay(turn < promptTurns ? 0 : nextDelayMs(backoff, turn - promptTurns + 1), signal)
    }
  }

  /** Undefined when it is to be tried again. */
  async #try(signal: AbortSignal): Promise<Joined | undefined> {
    const { sessionTimeoutMs, rebalanceTimeoutMs, groupInstanceId } = this.#options
    const { groupId } = this.#coordinator
    using deadline = new Deadline(
      rebalanceTimeoutMs + this.#cluster.options.requestTimeoutMs,
      `joining group ${groupId}`,
      signal,
    )
    const metadata = encodeSubscription(this.#topics)
    const answer = await this.#coordinator.askPatiently(
      joinGroup,
      {
        groupId,
        sessionTimeoutMs,
        rebalanceTimeoutMs,
        memberId: this.#memberId,
        groupInstanceId,
        protocolType,
        protocols: assignors.map((name) => ({ name, metadata })),
      },
      deadline,
    )
    if (answer.errorCode === errorCode.MEMBER_ID_REQUIRED || answer.errorCode === errorCode.NONE)
      this.#memberId = answer.memberId
    if (answer.errorCode === errorCode.MEMBER_ID_REQUIRED) return undefined
    if (answer.errorCode !== errorCode.NONE) return this.#refused(answer.errorCode, joinGroup)
    return await this.#sync(answer, deadline)
  }

  async #sync(joined: JoinGroupAnswer, deadline: Deadline): Promise<Joined | undefined> {
    const { groupId } = this.#coordinator
    const { generationId, memberId, protocolName, skipAssignment } = joined
    const { groupInstanceId } = this.#options
    const isLeader = joined.leaderId === memberId
    const led = isLeader && !skipAssignment ? await this.#assign(joined, deadline) : undefined
    const { errorCode: code, assignment } = await this.#coordinator.askPatiently(
      syncGroup,
      {
        groupId,
        generationId,
        memberId,
        groupInstanceId,
        protocolType,
        protocolName,
        assignments: led?.assignments ?? [],
      },
      deadline,
    )
    if (code !== errorCode.NONE) return this.#refused(code, syncGroup)
    const { assigned, partitionCounts } = decodeAssignment(assignment)
    if (led === undefined && this.#isForgotten(partitionCounts)) return await this.#comeAnew(deadline)
    return {
      metadata: { groupId, generationId, memberId, groupInstanceId },
      // kafkajs, as the leader, also assigns topics that a member has not asked for.
      assigned: assigned.filter(({ topic }) => this.#topics.includes(topic)),
      partitionCounts: led?.partitionCounts ?? (isLeader ? partitionCounts : new Map()),
    }
  }

  /** As the leader: what each member gets. A topic that does not exist has no partitions to share out. */
  async #assign(
    { members }: JoinGroupAnswer,
    deadline: Deadline,
  ): Promise<{
    readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[]
    readonly partitionCounts: ReadonlyMap<string, number>
  }> {
    const subscribers = members.map(({ memberId, groupInstanceId, metadata }) => ({
      memberId,
      groupInstanceId,
      topics: decodeSubscription(metadata),
    }))
    const topics = [...new Set(subscribers.flatMap((subscriber) => subscriber.topics))]
    const layouts = await this.#cluster.layouts(topics, deadline)
    const partitionCounts = new Map(
      topics.map((topic) => {
        const layout = layouts.get(topic)
        return [topic, typeof layout === 'object' ? layout.leaders.length : 0] as const
      }),
    )
    const assignments = [...assignPartitions(subscribers, partitionCounts)].map(([memberId, assigned]) => ({
      memberId,
      assignment: encodeAssignment(assigned, partitionCounts),
    }))
    return { assignments, partitionCounts }
  }

  /**
   * Whether a static member is back with topics that it did not have before: the coordinator hands it what was assigned then,
   * and nobody would ever be assigned the others.
   */
  #isForgotten(partitionCounts: ReadonlyMap<string, number>): boolean {
    return (
      this.#options.groupInstanceId !== null &&
      partitionCounts.size > 0 &&
      this.#topics.some((topic) => !partitionCounts.has(topic))
    )
  }

  /** Leaves, so that the group rebalances when it joins again. */
  async #comeAnew(deadline: Deadline): Promise<undefined> {
    const { groupId } = this.#coordinator
    const { groupInstanceId } = this.#options
    await this.#coordinator.ask(leaveGroup, { groupId, memberId: this.#memberId, groupInstanceId }, deadline)
    this.#memberId = ''
  }

  /** Undefined when another try can be answered in another way. */
  #refused(code: number, api: Pick<Api<never, unknown>, 'name' | 'needs'>): undefined {
    const { groupId } = this.#coordinator
    if (again.has(code)) return undefined
    if (code === errorCode.UNKNOWN_MEMBER_ID) {
      this.#memberId = '' // its session is over, or the group is
      return undefined
    }
    if (coordinatorNotReady.has(code)) {
      this.#coordinator.forget()
      return undefined
    }
    const doing = `joining group ${groupId}`
    const { groupInstanceId } = this.#options
    const details = { groupId, memberId: this.#memberId, groupInstanceId, code }
    const denial = denialOf(doing, api, code, { group: groupId }, details)
    if (denial !== undefined) throw new OutboxError('KAFKA_AUTHORIZATION_FAILED', denial.message, denial)
    const why =
      code === errorCode.FENCED_INSTANCE_ID
        ? `another member has joined with groupInstanceId ${JSON.stringify(groupInstanceId)}: each process needs one of its own`
        : describeCode(code)
    throw new OutboxError('KAFKA_GROUP_REFUSED', `${doing}: ${why}`, { details })
  }
}
