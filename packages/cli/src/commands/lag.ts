import { OutboxError } from '@oncebox/core'
import { backlogEventsMax, readLag, type OutboxLag, type ShardLag } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { tellConsumerLag } from '../consumer-lag.js'
import { exitCodes } from '../exit-code.js'
import { holderLines } from '../holder-lines.js'
import { loadRelayOptions } from '../load-relay-options.js'
import { whole } from '../option-values.js'
import { age, table } from '../table.js'

const help = `oncebox lag [--config FILE] [--max-ms N] [--max-events N] [--json]
oncebox lag --consumer NAME [--database URL] [--topic T]... [--warn N] [--json]
oncebox lag --consumer-group GROUP [--topic T]... [--warn N] [--json]

How many events are committed and not published, by shard, and how old the oldest is: the positions in Kafka against what
the database holds. ${backlogEventsMax} events mean so many or more.

With --consumer or --consumer-group: how far each partition is from its last stable offset, by the positions in the database of a
consumer in mode inbox or position, or by what a group has committed in Kafka.

  --config FILE   as for oncebox relay, with the same environment variables; for consumers, ONCEBOX_KAFKA_BROKERS will do
  --max-ms N      exit code 1 when the oldest event of a shard is older
  --max-events N  exit code 1 when a shard has more of them; or when it could not be told
  --database URL  the consumer's; default: ONCEBOX_DATABASE_URL
  --topic T       this topic, also when there is no position in it; default: those with a position. May be given several times
  --warn N        exit code 1 when a partition has more than N offsets to go, or no position is known
`

/** `oncebox lag`. */
export const lag = defineCommand({
  name: 'lag',
  synopsis: 'lag [--max-ms N] [--max-events N] | --consumer NAME | --consumer-group GROUP',
  summary: 'how far the relay, a consumer or a group is behind',
  help,
  options: {
    config: { type: 'string' },
    'max-ms': { type: 'string' },
    'max-events': { type: 'string' },
    consumer: { type: 'string' },
    'consumer-group': { type: 'string' },
    database: { type: 'string' },
    topic: { type: 'string', multiple: true },
    warn: { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(values) {
    if (values.consumer !== undefined || values['consumer-group'] !== undefined) {
      refuse(values, ['max-ms', 'max-events'], 'tells of the relay, not of a consumer')
      return await tellConsumerLag(values, limit('--warn', values.warn))
    }
    refuse(values, ['warn', 'topic', 'database'], 'needs --consumer NAME or --consumer-group GROUP')
    const msMax = limit('--max-ms', values['max-ms'])
    const eventsMax = limit('--max-events', values['max-events'])
    const found = await readLag(await loadRelayOptions(values.config, process.env))
    process.stdout.write(values.json === true ? `${JSON.stringify(found)}\n` : describe(found))
    return found.shards.every((shard) => isWithin(shard, msMax, eventsMax))
      ? exitCodes.done
      : exitCodes.failed
  },
})

function refuse(values: Readonly<Record<string, unknown>>, options: readonly string[], why: string): void {
  const given = options.find((option) => values[option] !== undefined)
  if (given !== undefined) throw new OutboxError('CLI_USAGE', `--${given} ${why}`)
}

const limit = (option: string, text: string | undefined): number =>
  whole(option, text) ?? Number.POSITIVE_INFINITY

/** What cannot be told is within no limit. */
function isWithin({ backlog }: ShardLag, msMax: number, eventsMax: number): boolean {
  if (msMax === Infinity && eventsMax === Infinity) return true
  return backlog !== undefined && backlog.oldestMs <= msMax && backlog.events <= eventsMax
}

function describe({ shards, holders }: OutboxLag): string {
  const rows = shards.map(({ shard, lane, backlog, eventsTotal }) => [
    String(shard),
    lane,
    backlog === undefined
      ? 'too many to count'
      : `${backlog.events}${backlog.events === backlogEventsMax ? '+' : ''}`,
    backlog === undefined || backlog.events === 0 ? '' : age(backlog.oldestMs),
    eventsTotal === undefined ? 'nothing yet' : String(eventsTotal),
  ])
  return `${table([['shard', 'lane', 'behind', 'oldest', 'published'], ...rows])}${holderLines(holders)}`
}
