import { OutboxError } from '@oncebox/core'
import { backlogEventsMax, readLag, type OutboxLag, type ShardLag } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { exitCodes } from '../exit-code.js'
import { holderLines } from '../holder-lines.js'
import { loadRelayOptions } from '../load-relay-options.js'
import { age, table } from '../table.js'

const help = `oncebox lag [--config FILE] [--max-ms N] [--max-events N] [--json]

How many events are committed and not published, by shard, and how old the oldest is: the positions in Kafka against what
the database holds. ${backlogEventsMax} events mean so many or more.

  --config FILE   as for oncebox relay, with the same environment variables
  --max-ms N      exit code 1 when the oldest event of a shard is older
  --max-events N  exit code 1 when a shard has more of them; or when it could not be told
`

/** `oncebox lag`. */
export const lag = defineCommand({
  name: 'lag',
  synopsis: 'lag [--max-ms N] [--max-events N]',
  summary: 'how far the relay is behind',
  help,
  options: {
    config: { type: 'string' },
    'max-ms': { type: 'string' },
    'max-events': { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(values) {
    const msMax = limit('--max-ms', values['max-ms'])
    const eventsMax = limit('--max-events', values['max-events'])
    const found = await readLag(await loadRelayOptions(values.config, process.env))
    process.stdout.write(values.json === true ? `${JSON.stringify(found)}\n` : describe(found))
    return found.shards.every((shard) => isWithin(shard, msMax, eventsMax))
      ? exitCodes.done
      : exitCodes.failed
  },
})

function limit(option: string, text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY
  if (/^\d{1,12}$/.test(text)) return Number(text)
  throw new OutboxError('CLI_USAGE', `${option} ${text}: it must be a whole number`)
}

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
