import { OutboxError, type SqlConnection } from '@oncebox/core'
import { connectKafka, readTopicSettings, type KafkaClient, type KafkaOptions } from '@oncebox/kafka'
import { dedupWindowNeededMs } from '../redis/window.js'
import { readWindows } from '../sql/read-windows.js'

/** What was looked at, and what was found; as `examine` of the relay tells it. */
export interface InboxFinding {
  readonly check: 'inbox.window' | 'inbox.held'
  readonly level: 'ok' | 'warning' | 'error'
  readonly message: string
  readonly fix?: string
}

interface WindowRow {
  readonly consumer: string
  readonly topic: string | null
  readonly window_ms: number | null
  readonly by_clock: boolean
  /** Since its low-water mark has moved; null: it has none. */
  readonly behind_ms: number | null
}

const dayMs = 86_400_000

/**
 * Whether consumers in the mode `inbox` remember events for as long as their topics keep them, and whether one of them keeps the
 * marks of all from being emptied. Changes nothing.
 * @throws OutboxError KAFKA_UNAVAILABLE, and what the database says
 */
export async function examineWindows(options: {
  readonly connection: SqlConnection
  readonly kafka: KafkaOptions
}): Promise<readonly InboxFinding[]> {
  const { rows } = await options.connection.query<WindowRow>(readWindows)
  if (rows.length === 0)
    return [{ check: 'inbox.window', level: 'ok', message: 'no consumer is in mode inbox' }]
  await using client = await connectKafka(options.kafka)
  const findings: InboxFinding[] = []
  for (const row of rows) {
    findings.push(held(row))
    if (row.topic !== null && row.window_ms !== null)
      findings.push(await windowOf(client, row.consumer, row.topic, row.window_ms))
  }
  return findings
}

async function windowOf(
  client: KafkaClient,
  consumer: string,
  topic: string,
  windowMs: number,
): Promise<InboxFinding> {
  const check = 'inbox.window'
  const kept = await retention(client, topic)
  if (typeof kept === 'string')
    return { check, level: 'warning', message: `topic ${topic} of consumer ${consumer}: ${kept}` }
  const remembers = `consumer ${consumer} remembers events for ${days(windowMs)}`
  if (windowMs >= kept)
    return { check, level: 'ok', message: `${remembers}, and topic ${topic} keeps them for ${days(kept)}` }
  return {
    check,
    level: 'warning',
    message: `${remembers}, and topic ${topic} keeps them ${kept === Infinity ? 'for ever' : `for up to ${days(kept)}`}: what is delivered again after that is a dead letter, not a duplicate`,
    fix: `marks: { windowMs: ${kept === Infinity ? 'as long as you may have to go back' : kept} } of the consumer, or a shorter retention.ms of the topic`,
  }
}

/** In milliseconds, or why that is not known. */
async function retention(client: KafkaClient, topic: string): Promise<number | string> {
  try {
    const settings = await readTopicSettings(client, topic, ['retention.ms', 'segment.ms'])
    return dedupWindowNeededMs({
      topicRetentionMs: Number(settings.get('retention.ms')),
      segmentMs: Number(settings.get('segment.ms')),
    })
  } catch (error) {
    return OutboxError.is(error) ? `${error.message} (${error.code})` : String(error)
  }
}

function held({
  consumer,
  topic,
  window_ms: windowMs,
  by_clock: isByClock,
  behind_ms: behindMs,
}: WindowRow): InboxFinding {
  const check = 'inbox.held'
  const where = topic === null ? `consumer ${consumer}` : `consumer ${consumer}, topic ${topic}`
  if (topic !== null && windowMs !== null && behindMs !== null && behindMs < dayMs)
    return { check, level: 'ok', message: `${where}: marks are emptied behind it` }
  if (isByClock && windowMs !== null)
    return { check, level: 'ok', message: `${where}: marks are emptied after its window` }
  const why =
    windowMs === null
      ? 'has not said for how long it remembers'
      : behindMs === null
        ? 'has no position yet, or has not said how far it is'
        : `is ${days(behindMs)} behind`
  return {
    check,
    level: 'warning',
    message: `${where} ${why}: marks of every consumer are kept since then`,
    fix: `run it; or when it is gone for good: delete from inbox.windows where consumer = '${consumer.replaceAll("'", "''")}'`,
  }
}

const days = (ms: number): string => `${Math.round((ms / dayMs) * 10) / 10} days`
