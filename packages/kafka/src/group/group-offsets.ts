import { nextDelayMs, OutboxError } from '@oncebox/core'
import type { KafkaClient } from '../client.js'
import { clusterOf } from '../cluster.js'
import { Deadline } from '../deadline.js'
import type { PartitionAddress } from '../partition-offsets.js'
import type { Api } from '../protocol/api.js'
import { denialOf } from '../protocol/denial.js'
import { describeCode, errorCode, groupFencing } from '../protocol/error-codes.js'
import { offsetCommit, type OffsetCommitAnswer } from '../protocol/offset-commit.js'
import { offsetFetch, type OffsetFetchAnswer, type OffsetFetchRequest } from '../protocol/offset-fetch.js'
import { GroupCoordinator } from './group-coordinator.js'

/** How far a group is in a partition. */
export interface GroupOffset extends PartitionAddress {
  /** The next offset to read: one behind the last that was handled. */
  readonly offset: bigint
  /** At most `offset.metadata.max.bytes` of the broker, 4,096 by default. */
  readonly metadata?: string
}

/** Who commits: a member in one generation (KIP-447). What a session needs to take offsets into a transaction. */
export interface GroupMetadata {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  /** Of a static member (KIP-345); null of any other. */
  readonly groupInstanceId: string | null
}

export interface ReadGroupOffsetsOptions {
  readonly groupId: string
  /** Default: all partitions for which the group has committed something. */
  readonly partitions?: readonly PartitionAddress[]
  readonly signal?: AbortSignal
}

const deadlineMs = 30_000
const unstableRetry = { minMs: 10, maxMs: 500 }

/**
 * What a group has committed, by topic and partition; those without an offset are left out. Waits for transactions that are about to move
 * one (require_stable), for 30 s.
 *
 * @throws OutboxError KAFKA_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED
 */
export async function readGroupOffsets(
  client: KafkaClient,
  { groupId, partitions, signal }: ReadGroupOffsetsOptions,
): Promise<readonly GroupOffset[]> {
  using deadline = new Deadline(deadlineMs, `reading the offsets of group ${groupId}`, signal)
  const coordinator = new GroupCoordinator(clusterOf(client), groupId)
  try {
    const request = { groupId, topics: partitions === undefined ? null : topicsOf(partitions) }
    return await untilStable(coordinator, request, deadline)
  } finally {
    await coordinator.close()
  }
}

async function untilStable(
  coordinator: GroupCoordinator,
  request: OffsetFetchRequest,
  deadline: Deadline,
): Promise<readonly GroupOffset[]> {
  for (let attempt = 1; ; attempt++) {
    const answer = await coordinator.askAgain(offsetFetch, request, (one) => refusedIn(one).code, deadline)
    const refused = refusedIn(answer)
    if (refused.code === errorCode.NONE)
      return answer.topics
        .flatMap(({ name, partitions }) => partitions.map((partition) => ({ topic: name, ...partition })))
        .filter(({ offset }) => offset >= 0n)
        .map(({ topic, index, offset, metadata }) => ({ topic, partition: index, offset, metadata }))
        .toSorted((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition))
    if (refused.code !== errorCode.UNSTABLE_OFFSET_COMMIT)
      throw refusal('reading the offsets', offsetFetch, refused, { groupId: request.groupId })
    await deadline.delay(nextDelayMs(unstableRetry, attempt))
  }
}

export interface CommitGroupOffsetsOptions {
  readonly groupId: string
  readonly offsets: readonly GroupOffset[]
  readonly signal?: AbortSignal
}

/**
 * Sets offsets of a group from outside, for tools: the coordinator takes them only while the group has no members.
 *
 * @throws OutboxError KAFKA_GROUP_FENCED when it has members, KAFKA_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED
 */
export async function commitGroupOffsets(
  client: KafkaClient,
  { groupId, offsets, signal }: CommitGroupOffsetsOptions,
): Promise<void> {
  using deadline = new Deadline(deadlineMs, `committing offsets of group ${groupId}`, signal)
  const coordinator = new GroupCoordinator(clusterOf(client), groupId)
  try {
    const outside = { groupId, generationId: -1, memberId: '', groupInstanceId: null }
    await commitAs(outside, coordinator, offsets, deadline)
  } finally {
    await coordinator.close()
  }
}

/**
 * Commits as a member of one generation.
 *
 * @throws OutboxError KAFKA_GROUP_FENCED when the generation is over or the member is not known any more
 */
export async function commitAs(
  member: GroupMetadata,
  coordinator: GroupCoordinator,
  offsets: readonly GroupOffset[],
  deadline: Deadline,
): Promise<void> {
  if (offsets.length === 0) return
  const request = { ...member, topics: committedTopics(offsets) }
  const answer = await coordinator.askAgain(offsetCommit, request, (one) => refusedIn(one).code, deadline)
  const refused = refusedIn(answer)
  if (refused.code !== errorCode.NONE) throw refusal('committing offsets', offsetCommit, refused, member)
}

interface Refused {
  readonly code: number
  readonly topic?: string
}

/** The first thing that was refused in an answer: all of it, or a partition. */
function refusedIn(
  answer: Partial<Pick<OffsetFetchAnswer, 'errorCode'>> & Pick<OffsetCommitAnswer, 'topics'>,
): Refused {
  if (answer.errorCode !== undefined && answer.errorCode !== errorCode.NONE) return { code: answer.errorCode }
  for (const { name, partitions } of answer.topics) {
    const refused = partitions.find(({ errorCode: code }) => code !== errorCode.NONE)
    if (refused !== undefined) return { code: refused.errorCode, topic: name }
  }
  return { code: errorCode.NONE }
}

function refusal(
  doing: string,
  api: Pick<Api<never, unknown>, 'name' | 'needs'>,
  { code, topic }: Refused,
  member: Partial<GroupMetadata> & Pick<GroupMetadata, 'groupId'>,
): OutboxError {
  const what = `${doing} of group ${member.groupId}`
  const details = { ...member, ...(topic !== undefined && { topic }), code }
  const names = { group: member.groupId, ...(topic !== undefined && { topic }) }
  const denial = denialOf(what, api, code, names, details)
  if (denial !== undefined) return new OutboxError('KAFKA_AUTHORIZATION_FAILED', denial.message, denial)
  const as = groupFencing.has(code)
    ? 'KAFKA_GROUP_FENCED'
    : code === errorCode.UNKNOWN_TOPIC_OR_PARTITION
      ? 'KAFKA_TOPIC_UNAVAILABLE'
      : code === errorCode.OFFSET_METADATA_TOO_LARGE || code === errorCode.INVALID_GROUP_ID
        ? 'KAFKA_OPTIONS_INVALID'
        : 'KAFKA_PROTOCOL'
  const isOutside = as === 'KAFKA_GROUP_FENCED' && member.generationId === -1
  const why = isOutside ? 'it has members, and takes offsets from nobody else' : describeCode(code)
  return new OutboxError(as, `${what}: ${why}`, { details })
}

function topicsOf(partitions: readonly PartitionAddress[]): { name: string; partitions: number[] }[] {
  return grouped(partitions, ({ partition }) => partition)
}

function committedTopics(
  offsets: readonly GroupOffset[],
): { name: string; partitions: { index: number; offset: bigint; metadata: string | null }[] }[] {
  return grouped(offsets, ({ partition, offset, metadata = null }) => ({
    index: partition,
    offset,
    metadata,
  }))
}

function grouped<Given extends PartitionAddress, Item>(
  given: readonly Given[],
  toItem: (one: Given) => Item,
): { name: string; partitions: Item[] }[] {
  const topics = new Map<string, Item[]>()
  for (const one of given) {
    const items = topics.get(one.topic)
    if (items === undefined) topics.set(one.topic, [toItem(one)])
    else items.push(toItem(one))
  }
  return [...topics].map(([name, partitions]) => ({ name, partitions }))
}
