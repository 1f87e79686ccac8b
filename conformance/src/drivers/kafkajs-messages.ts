import type { NewRecord } from '../driver.js'
import { pad } from '../padding.js'

/** Records as kafkajs takes them, and the client of Confluent after it. */
export interface TopicMessages {
  topic: string
  messages: {
    readonly partition: number
    readonly key: Buffer | null
    readonly value: string
    readonly timestamp?: string
  }[]
}

export function byTopic(records: readonly NewRecord[]): TopicMessages[] {
  const topics = new Map<string, TopicMessages['messages']>()
  for (const { topic, partition, key, value, bytes, timestampMs } of records) {
    const messages = topics.get(topic) ?? []
    topics.set(topic, messages)
    messages.push({
      partition,
      key: key === undefined ? null : Buffer.from(key, 'hex'),
      value: pad(value, bytes),
      ...(timestampMs !== undefined && { timestamp: String(timestampMs) }),
    })
  }
  return Array.from(topics, ([topic, messages]) => ({ topic, messages }))
}
