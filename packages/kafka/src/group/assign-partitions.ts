import type { TopicPartitions } from './consumer-protocol.js'

export interface Subscriber {
  readonly memberId: string
  /** Of a static member: it gets another member id each time it comes back. */
  readonly groupInstanceId?: string | null
  readonly topics: readonly string[]
}

/**
 * The assignors that members offer, in order of preference. `roundrobin` is Java's; `RoundRobinAssigner` is kafkajs's, so
 * that its consumers and these can be in one group while a service moves from one to the other.
 */
export const assignors = ['roundrobin', 'RoundRobinAssigner'] as const

/**
 * Deals all partitions out in turn, topic by topic, each to the next member that subscribes to its topic: numbers differ by
 * one at most where all subscribe to the same.
 *
 * @param partitions By topic: how many it has.
 */
export function assignPartitions(
  subscribers: readonly Subscriber[],
  partitions: ReadonlyMap<string, number>,
): ReadonlyMap<string, readonly TopicPartitions[]> {
  const members = subscribers
    .toSorted((a, b) => compare(a.groupInstanceId ?? a.memberId, b.groupInstanceId ?? b.memberId))
    .map(({ memberId, topics }) => ({
      memberId,
      topics: new Set(topics),
      assigned: new Map<string, number[]>(),
    }))
  let turn = 0
  for (const [topic, count] of [...partitions].toSorted(([a], [b]) => compare(a, b))) {
    if (!members.some(({ topics }) => topics.has(topic))) continue
    for (let partition = 0; partition < count;) {
      const member = members[turn++ % members.length]
      if (member === undefined || !member.topics.has(topic)) continue
      const own = member.assigned.get(topic)
      if (own === undefined) member.assigned.set(topic, [partition])
      else own.push(partition)
      partition++
    }
  }
  return new Map(
    members.map(({ memberId, assigned }) => [
      memberId,
      [...assigned].map(([topic, own]) => ({ topic, partitions: own })),
    ]),
  )
}

// By code points, the same in every process: a locale's order could differ.
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
