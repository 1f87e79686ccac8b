import { readConsumerLag, readGroupLag, type StandingPartition } from '@oncebox/consumer-dedup'
import { OutboxError } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import pg from 'pg'
import { exitCodes } from './exit-code.js'
import { kafkaOf } from './kafka-options.js'
import { table } from './table.js'

interface ConsumerLagValues {
  readonly config?: string | undefined
  readonly consumer?: string | undefined
  readonly 'consumer-group'?: string | undefined
  readonly database?: string | undefined
  readonly topic?: readonly string[] | undefined
  readonly json?: boolean | undefined
}

/**
 * Tells how far a consumer or a group is behind.
 * @returns The exit code: 1 when a partition has more than `warn` to go
 */
export async function tellConsumerLag(values: ConsumerLagValues, warn: number): Promise<number> {
  const partitions = await read(values)
  process.stdout.write(values.json === true ? `${JSON.stringify({ partitions })}\n` : describe(partitions))
  const isWithin = warn === Infinity || (partitions.length > 0 && partitions.every(({ lag }) => lag <= warn))
  return isWithin ? exitCodes.done : exitCodes.failed
}

async function read(values: ConsumerLagValues): Promise<readonly StandingPartition[]> {
  const { consumer, topic: topics, 'consumer-group': group } = values
  const database = values.database ?? process.env['ONCEBOX_DATABASE_URL']
  if (group !== undefined && consumer !== undefined)
    throw new OutboxError(
      'CLI_USAGE',
      '--consumer and --consumer-group: one of them says whose position counts',
    )
  const asked = { kafka: await kafkaOf(values, process.env), ...(topics !== undefined && { topics }) }
  if (group !== undefined) return await readGroupLag({ ...asked, group })
  if (consumer === undefined) throw new OutboxError('CLI_USAGE', 'no --consumer and no --consumer-group')
  if (database === undefined)
    throw new OutboxError(
      'CLI_USAGE',
      'no database of the consumer: give --database URL or set ONCEBOX_DATABASE_URL',
    )
  const pool = new pg.Pool({ connectionString: database, max: 1, connectionTimeoutMillis: 10_000 })
  pool.on('error', () => undefined)
  try {
    return await readConsumerLag({ ...asked, consumer, connection: fromPg(pool).outside })
  } finally {
    await pool.end()
  }
}

function describe(partitions: readonly StandingPartition[]): string {
  if (partitions.length === 0) return 'no position is known\n'
  const rows = partitions.map(({ topic, partition, position, lastStableOffset, lag }) => [
    topic,
    String(partition),
    position ?? 'none yet',
    lastStableOffset,
    String(lag),
  ])
  return table([['topic', 'partition', 'position', 'stable up to', 'behind'], ...rows])
}
