import { envelopeHeaders } from '@oncebox/core'
import { encodeHeader, type KafkaClient, type TopicDescription } from '@oncebox/kafka'
import type { CopyRows } from '../reading/copy-rows.js'
import { column } from '../reading/read-window.js'

/** What is the same in all events of one topic, type and source. */
export interface Route {
  readonly topicName: string
  /** Undefined when no event may be written to a topic of that name. */
  readonly topic: TopicDescription | undefined
  readonly type: string
  readonly headers: Buffer
  readonly headerCount: number
}

export interface LookUpOptions {
  /** How long a topic that is not there is waited for; absent: as long as a fresh one may need. */
  readonly patienceMs?: number
  readonly signal: AbortSignal
}

export type RouteHeaders = readonly (readonly [name: string, value: string])[]

const routesMax = 10_000

/** Topics by the raw bytes of topic, type and source in a row: nothing is decoded for events that go where others went. */
export class Routes {
  readonly #kafka: KafkaClient
  readonly #progressTopic: string
  readonly #more: RouteHeaders
  readonly #routes = new Map<string, Route>()

  /** @param more Headers of every record, beside those of the envelope. */
  constructor(kafka: KafkaClient, progressTopic: string, more: RouteHeaders = []) {
    this.#kafka = kafka
    this.#progressTopic = progressTopic
    this.#more = more
  }

  /** The route of the row under the cursor; undefined when it has to be looked up. */
  known(rows: CopyRows): Route | undefined {
    return this.#routes.get(routeKey(rows))
  }

  /** @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED */
  async lookUp(rows: CopyRows, options: LookUpOptions): Promise<Route> {
    const { bytes, starts, ends } = rows
    const field = (index: number): string => bytes.toString('utf8', starts[index], ends[index])
    const key = routeKey(rows)
    const topicName = field(column.topic)
    const type = field(column.type)
    const headers = [
      [envelopeHeaders.specVersion, '1.0'],
      [envelopeHeaders.type, type],
      [envelopeHeaders.source, field(column.source)],
      ...this.#more,
    ] as const
    const topic = this.isWritable(topicName) ? await this.#describe(topicName, options) : undefined
    const route = {
      topicName,
      topic,
      type,
      headers: Buffer.concat(headers.map(([name, value]) => encodeHeader(name, value))),
      headerCount: headers.length,
    }
    if (this.#routes.size >= routesMax) this.#routes.clear()
    this.#routes.set(key, route)
    return route
  }

  /**
   * Asks again for what is known of a topic: it may have more partitions, or another limit, by now.
   * @returns Whether it has.
   * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED
   */
  async refresh(topic: TopicDescription, signal: AbortSignal): Promise<boolean> {
    const now = await this.#kafka.describeTopic(topic.name, { refresh: true, signal })
    if (now.partitions === topic.partitions && now.maxMessageBytes === topic.maxMessageBytes) return false
    this.forget(topic.name)
    return true
  }

  /** As {@link refresh}; false when nothing was known of the topic. */
  async refreshNamed(topicName: string, signal: AbortSignal): Promise<boolean> {
    const known = this.#known(topicName)
    return known !== undefined && (await this.refresh(known, signal))
  }

  /** What is known of a topic is looked up again before its next event. */
  forget(topicName: string): void {
    for (const [key, route] of this.#routes) if (route.topicName === topicName) this.#routes.delete(key)
  }

  /** A topic of that name can exist, and is not Kafka's own, nor the one with the positions: an event there could forge one. */
  isWritable(topicName: string): boolean {
    return (
      nameForm.test(topicName) &&
      topicName !== '.' &&
      topicName !== '..' &&
      topicName !== this.#progressTopic &&
      !internalTopics.has(topicName)
    )
  }

  async #describe(name: string, options: LookUpOptions): Promise<TopicDescription> {
    return this.#known(name) ?? (await this.#kafka.describeTopic(name, { ...options, refresh: true }))
  }

  #known(name: string): TopicDescription | undefined {
    for (const { topic } of this.#routes.values()) if (topic?.name === name) return topic
    return undefined
  }
}

/** @see https://github.com/apache/kafka/blob/trunk/clients/src/main/java/org/apache/kafka/common/internals/Topic.java */
const nameForm = /^[a-zA-Z0-9._-]{1,249}$/
const internalTopics: ReadonlySet<string> = new Set([
  '__consumer_offsets',
  '__transaction_state',
  '__share_group_state',
  '__cluster_metadata',
])

const routeKey = ({ bytes, starts, ends }: CopyRows): string =>
  bytes.toString('latin1', starts[column.topic], ends[column.source])
