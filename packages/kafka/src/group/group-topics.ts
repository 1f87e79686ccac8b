import { delay, nextDelayMs, OutboxError } from '@oncebox/core'
import type { Cluster, TopicLayout } from '../cluster.js'
import { Deadline } from '../deadline.js'
import type { PartitionAddress } from '../partition-offsets.js'
import { unreadableTopic } from '../reading/unreadable-topic.js'
import type { TopicPartitions } from './consumer-protocol.js'

export interface AssignedPartition extends PartitionAddress {
  readonly topicId: string
}

interface GroupTopicsOptions {
  readonly groupId: string
  readonly topics: readonly string[]
  /** Topics that match one of them are subscribed to as well. */
  readonly patterns: readonly RegExp[]
  readonly onTrouble: (error: OutboxError) => void
}

type Layouts = ReadonlyMap<string, TopicLayout | number>

const patienceMs = 5_000
const retryMs = 250
const unansweredBackoff = { minMs: 200, maxMs: 10_000 }
/** How often the topics are looked at: for partitions that were added, topics that came or went. */
const watchMs = 5_000

/** The topics that a member subscribes to, as the cluster has them. */
export class GroupTopics {
  readonly #cluster: Cluster
  readonly #options: GroupTopicsOptions

  constructor(cluster: Cluster, options: GroupTopicsOptions) {
    this.#cluster = cluster
    this.#options = options
  }

  /**
   * Before the first join: a topic that this principal may not read ends it, or the others would wait for a member that reads
   * nothing. Brokers learn of a new ACL one after the other, so a refused topic is asked for again for some seconds. One that
   * is missing is shared out when it is there.
   *
   * @throws OutboxError KAFKA_AUTHORIZATION_FAILED
   */
  async lookUp(signal: AbortSignal): Promise<void> {
    const patientUntil = performance.now() + patienceMs
    for (let unanswered = 0; ;) {
      const layouts = await this.#layouts(this.#options.topics, signal)
      if (layouts === undefined) unanswered += 1
      const refused = this.#missing(layouts).find(({ retriable }) => !retriable)
      if (layouts !== undefined && refused === undefined) return
      if (refused !== undefined && performance.now() >= patientUntil) throw refused
      await delay(layouts === undefined ? nextDelayMs(unansweredBackoff, unanswered) : retryMs, signal)
    }
  }

  /** The names to subscribe to: those that are given, and those that match a pattern now. */
  async subscribed(signal: AbortSignal): Promise<readonly string[]> {
    for (let unanswered = 1; ; unanswered += 1) {
      const matching = await this.#matching(signal)
      if (matching !== undefined) return [...new Set([...this.#options.topics, ...matching])]
      await delay(nextDelayMs(unansweredBackoff, unanswered), signal)
    }
  }

  /**
   * Assigned partitions with the ids of their topics. The leader of the group may know a topic before this member's brokers
   * do, so it is waited for a while; then it is left out, and expected to come.
   *
   * @param expected Numbers of partitions by topic, for {@link watch}: 0 is added for each topic that is left out.
   */
  async name(
    assigned: readonly TopicPartitions[],
    expected: Map<string, number>,
    signal: AbortSignal,
  ): Promise<readonly AssignedPartition[]> {
    const topics = assigned.map(({ topic }) => topic)
    const patientUntil = performance.now() + patienceMs
    for (;;) {
      const layouts = await this.#layouts(topics, signal)
      if (signal.aborted) return []
      const unknown = topics.filter((topic) => typeof layouts?.get(topic) !== 'object')
      if (unknown.length > 0 && performance.now() < patientUntil) {
        await delay(retryMs, signal).catch(() => undefined)
        continue
      }
      for (const topic of unknown) expected.set(topic, 0)
      return assigned.flatMap(({ topic, partitions }) => {
        const layout = layouts?.get(topic)
        if (typeof layout !== 'object') return []
        return partitions.map((partition) => ({ topic, topicId: layout.topicId, partition }))
      })
    }
  }

  /**
   * Looks from time to time whether topics have the numbers of partitions that are expected: the leader expects something of
   * all topics of the group, the others only of those that they were assigned and could not find. Topics that do not exist
   * are told each time.
   *
   * @param subscribed What {@link subscribed} said before.
   * @returns a topic that has changed: partitions were added, or it came or went; undefined when it was given up
   * @throws OutboxError KAFKA_AUTHORIZATION_FAILED
   */
  async watch(
    subscribed: readonly string[],
    expected: ReadonlyMap<string, number>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    let shrunkBefore: string | undefined
    let refusedBefore = false
    for (; !signal.aborted; await delay(watchMs, signal).catch(() => undefined)) {
      const layouts = await this.#layouts([...new Set([...this.#options.topics, ...expected.keys()])], signal)
      if (layouts === undefined) continue
      const come = (await this.#matching(signal))?.find((topic) => !subscribed.includes(topic))
      if (come !== undefined) return come
      const missing = this.#missing(layouts)
      const refused = missing.find(({ retriable }) => !retriable)
      // Brokers learn of a new ACL one after the other, so a refusal counts when it is there the second time.
      if (refused !== undefined && refusedBefore) throw refused
      refusedBefore = refused !== undefined
      for (const error of missing) this.#options.onTrouble(error)
      const { grown, shrunk } = changesOf(layouts, expected)
      if (grown !== undefined) return grown
      // A broker that has just started may not know everything yet, so a topic is gone when it is missing the second time.
      if (shrunk !== undefined && shrunk === shrunkBefore) return shrunk
      shrunkBefore = shrunk
    }
    return undefined
  }

  /** Why the subscribed topics that cannot be read cannot be. */
  #missing(layouts: Layouts | undefined): readonly OutboxError[] {
    return this.#options.topics.flatMap((topic) => {
      const layout = layouts?.get(topic)
      return typeof layout === 'number' ? [unreadableTopic(topic, layout)] : []
    })
  }

  /** Undefined when the cluster does not answer, or it was given up. */
  async #matching(signal: AbortSignal): Promise<readonly string[] | undefined> {
    const { patterns } = this.#options
    if (patterns.length === 0) return []
    const names = await this.#ask((deadline) => this.#cluster.topicNames(deadline), signal)
    return names?.filter((name) => patterns.some((pattern) => pattern.test(name)))
  }

  /** Undefined when the cluster does not answer, or it was given up. */
  async #layouts(topics: readonly string[], signal: AbortSignal): Promise<Layouts | undefined> {
    if (topics.length === 0) return signal.aborted ? undefined : new Map()
    return await this.#ask((deadline) => this.#cluster.layouts(topics, deadline), signal)
  }

  async #ask<Answer>(
    request: (deadline: Deadline) => Promise<Answer>,
    signal: AbortSignal,
  ): Promise<Answer | undefined> {
    if (signal.aborted) return undefined
    using deadline = new Deadline(
      this.#cluster.options.requestTimeoutMs,
      `looking at the topics of group ${this.#options.groupId}`,
      signal,
    )
    try {
      return await request(deadline)
    } catch (error) {
      if (signal.aborted) return undefined
      if (!OutboxError.is(error) || !error.retriable) throw error
      this.#options.onTrouble(error)
      return undefined
    }
  }
}

function changesOf(
  layouts: Layouts,
  expected: ReadonlyMap<string, number>,
): { readonly grown: string | undefined; readonly shrunk: string | undefined } {
  const differenceOf = ([topic, count]: [string, number]): number => {
    const layout = layouts.get(topic)
    return (typeof layout === 'object' ? layout.leaders.length : 0) - count
  }
  const [grown] = [...expected].find((one) => differenceOf(one) > 0) ?? []
  const [shrunk] = [...expected].find((one) => differenceOf(one) < 0) ?? []
  return { grown, shrunk }
}
