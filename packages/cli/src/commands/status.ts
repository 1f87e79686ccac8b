import { readStatus, type OutboxStatus } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { databaseOf } from '../database-options.js'
import { exitCodes } from '../exit-code.js'
import { holderLines } from '../holder-lines.js'
import { age, table } from '../table.js'

const help = `oncebox status [--database URL | --config FILE] [--json]

Who publishes what of an outbox, as its database knows it: shards and who holds them, processes and their heartbeats,
transactions that hold events back. Kafka is not asked. Exit code 1 when a shard is published by nobody.

  --database URL  default: ONCEBOX_DATABASE_URL
  --config FILE   as for oncebox relay, for its db
`

/** `oncebox status`. */
export const status = defineCommand({
  name: 'status',
  synopsis: 'status [--database URL]',
  summary: 'who publishes which shard, and what holds events back',
  help,
  options: {
    database: { type: 'string' },
    config: { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(values) {
    const found = await readStatus(await databaseOf(values, process.env))
    process.stdout.write(values.json === true ? `${JSON.stringify(found)}\n` : describe(found))
    return found.shards.every(({ holder }) => holder !== null) ? exitCodes.done : exitCodes.failed
  },
})

function describe({ generation, shards, members, holders, eventsBytes }: OutboxStatus): string {
  const shardRows = shards.map((shard) => [
    String(shard.shard),
    shard.lane,
    `${shard.bucketFrom}-${shard.bucketTo}`,
    shard.holder ?? 'nobody',
    shard.epoch === null ? 'never claimed' : `epoch ${shard.epoch}`,
    shard.windowMs === null ? 'nothing yet' : `window ${shard.window}, ${age(shard.windowMs)} ago`,
  ])
  const memberRows = members.map(({ holder, relay, alive, heartbeatMs, leaseMs }) => [
    holder,
    relay,
    alive ? 'alive' : 'gone',
    `heartbeat ${age(heartbeatMs)} ago`,
    `lease ${age(leaseMs)}`,
  ])
  return [
    `shard map ${generation}, ${(eventsBytes / 1e6).toFixed(1)} MB of events\n`,
    table([['shard', 'lane', 'buckets', 'published by', '', 'last events'], ...shardRows]),
    members.length === 0 ? 'no relay process was heard of within an hour\n' : table(memberRows),
    holderLines(holders),
  ].join('')
}
