import { OutboxError } from '@oncebox/core'
import { reshard as cut, type ReshardTarget } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { exitCodes } from '../exit-code.js'
import { loadRelayOptions } from '../load-relay-options.js'

const help = `oncebox reshard --shards N [--lane TOPIC[,TOPIC...][=N]]... [--config FILE] [--json]

Cuts the shards of an outbox anew while it is in use; the order of each key is kept. Running relays close the old
shards and share the new ones. Interrupted, it can be run again.

  --shards N      shards of all topics that have no lane: 1 to 256 in all
  --lane TOPICS   topics that get shards of their own (one, or =N): no other topic can hold them up, nor they another
  --config FILE   as for oncebox relay, with the same environment variables; the role needs INSERT on outbox.shard_map
`

/** `oncebox reshard`. */
export const reshard = defineCommand({
  name: 'reshard',
  synopsis: 'reshard --shards N [--lane TOPICS]',
  summary: 'cut the shards of a live outbox anew',
  help,
  options: {
    shards: { type: 'string' },
    lane: { type: 'string', multiple: true },
    config: { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(values) {
    if (values.shards === undefined) throw new OutboxError('CLI_USAGE', 'how many shards? give --shards N')
    const target: ReshardTarget = {
      shards: count('--shards', values.shards),
      lanes: (values.lane ?? []).map(laneOf),
    }
    const options = await loadRelayOptions(values.config, process.env)
    const interrupted = new AbortController()
    const onInterrupt = (): void => interrupted.abort(new OutboxError('RELAY_RESHARDING', 'interrupted'))
    process.once('SIGINT', onInterrupt)
    try {
      const report = await cut(options, target, {
        signal: interrupted.signal,
        onProgress: (sentence) => process.stderr.write(`${sentence}\n`),
      })
      process.stdout.write(values.json === true ? `${JSON.stringify(report)}\n` : `${describe(report)}\n`)
      return exitCodes.done
    } finally {
      process.removeListener('SIGINT', onInterrupt)
    }
  },
})

/** `audit,logins=2`: topics, and how many shards they share. */
function laneOf(text: string): NonNullable<ReshardTarget['lanes']>[number] {
  const [, list = '', shards] = /^(.*?)(?:=(\d+))?$/.exec(text) ?? []
  const topics = list.split(',').filter((topic) => topic !== '')
  if (topics.length === 0) throw new OutboxError('CLI_USAGE', `--lane ${text}: it names no topic`)
  return { topics, ...(shards === undefined ? {} : { shards: count('--lane', shards) }) }
}

function count(option: string, text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 1 && number <= 256) return number
  throw new OutboxError('CLI_USAGE', `${option} ${text}: a whole number from 1 to 256`)
}

const describe = ({ generation, shards, changed }: Awaited<ReturnType<typeof cut>>): string =>
  changed
    ? `${shards} ${shards === 1 ? 'shard' : 'shards'}, shard map ${generation}`
    : `nothing to do: ${shards} ${shards === 1 ? 'shard' : 'shards'} already, shard map ${generation}`
