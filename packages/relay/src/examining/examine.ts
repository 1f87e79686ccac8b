import type { Client } from 'pg'
import { connectKafka } from '@oncebox/kafka'
import { connectClient } from '../database-connections.js'
import { checkServer } from '../opening/database-state.js'
import { resolveOptions, type RelayOptions, type ResolvedRelayOptions } from '../options.js'
import { examineDatabase } from './examine-database.js'
import { examineKafka } from './examine-kafka.js'
import { failureOf, ok, type Finding } from './finding.js'

/** Events that are looked at for their topics, the newest ones. */
const eventsLookedAt = 20_000

/**
 * Looks at everything outside of the relay that its promises stand on: privileges, settings and tables of the database, the
 * cluster, the progress topic, and the topics of the newest events. Changes nothing. What cannot be reached is a finding.
 *
 * @throws OutboxError RELAY_OPTIONS_INVALID
 */
export async function examine(relayOptions: RelayOptions): Promise<readonly Finding[]> {
  const options = resolveOptions(relayOptions)
  const database = await examineThroughDatabase(options)
  return [...database.findings, ...(await examineThroughKafka(options, database))]
}

interface Examined {
  readonly findings: readonly Finding[]
  readonly shards: number
  readonly topics: readonly string[]
}

async function examineThroughDatabase({ db, name }: ResolvedRelayOptions): Promise<Examined> {
  let client: Client | undefined
  try {
    client = await connectClient(db, `oncebox-relay ${name} doctor`)
    await checkServer(client)
    const findings = [ok('database', 'a primary with schema outbox'), ...(await examineDatabase(client))]
    // Without the privilege there are no topics to ask about, and the finding is there already.
    if (findings.some(({ check, level }) => check === 'database.privileges' && level === 'error'))
      return { findings, shards: 1, topics: [] }
    return { findings, shards: await countShards(client), topics: await newestTopics(client) }
  } catch (error) {
    return { findings: [failureOf('database', error)], shards: 1, topics: [] }
  } finally {
    await client?.end().catch(() => undefined)
  }
}

async function countShards(client: Client): Promise<number> {
  const { rows } = await client.query<{ shards: number }>(
    "select jsonb_array_length(map -> 'shards') as shards from outbox.shard_map order by generation desc limit 1",
  )
  return rows[0]?.shards ?? 1
}

async function newestTopics(client: Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ topic: string }>(
    `select distinct topic from (select topic from outbox.events order by events.seq desc limit ${eventsLookedAt}) e order by topic`,
  )
  return rows.map(({ topic }) => topic)
}

async function examineThroughKafka(
  options: ResolvedRelayOptions,
  { shards, topics }: Examined,
): Promise<readonly Finding[]> {
  try {
    await using kafka = await connectKafka(options.kafka)
    return [
      ok('kafka', `cluster ${kafka.clusterId}`),
      ...(await examineKafka(kafka, { progress: options.progressTopic, shards, events: topics })),
    ]
  } catch (error) {
    return [failureOf('kafka', error)]
  }
}
