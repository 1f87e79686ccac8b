import { createInterface } from 'node:readline/promises'
import { OutboxError } from '@oncebox/core'
import { removeRelay, type RelayRemoval } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { exitCodes } from '../exit-code.js'

const help = `oncebox relay-remove --name NAME [--database URL] [--yes] [--json]

Retires a relay for good: its processes are fenced and stop, no process of that name publishes this outbox any more, and
rotation no longer waits for it. A relay of another name may publish the outbox from then on: it begins with the events
that commit after the removal. Kafka is not asked. Interrupted, it can be run again.

  --name NAME     the relay
  --database URL  default: ONCEBOX_DATABASE_URL; as the owner of schema outbox
  --yes           do not ask
`

/** `oncebox relay-remove`. */
export const relayRemove = defineCommand({
  name: 'relay-remove',
  synopsis: 'relay-remove --name NAME',
  summary: 'retire a relay, so that rotation no longer waits for it',
  help,
  options: {
    name: { type: 'string' },
    database: { type: 'string' },
    yes: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  async run(values) {
    if (values.name === undefined) throw new OutboxError('CLI_USAGE', 'which relay? give --name NAME')
    const connectionString = values.database ?? process.env['ONCEBOX_DATABASE_URL']
    if (connectionString === undefined)
      throw new OutboxError('CLI_USAGE', 'no database: give --database URL or set ONCEBOX_DATABASE_URL')
    const approve = values.yes === true ? () => true : ask
    const removal = await removeRelay({ connectionString }, values.name, { approve })
    if (removal === undefined) {
      process.stderr.write('nothing was done\n')
      return exitCodes.failed
    }
    process.stdout.write(values.json === true ? `${JSON.stringify(removal)}\n` : `${describe(removal)}\n`)
    return exitCodes.done
  },
})

async function ask(removal: RelayRemoval): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new OutboxError(
      'CLI_USAGE',
      'nobody can be asked: give --yes to remove the relay without a question',
    )
  const { relay, shards, running, unread } = removal
  process.stderr.write(
    `relay ${relay} publishes ${shards} ${shards === 1 ? 'shard' : 'shards'}; ${running} of its processes are running\n` +
      `${unread} events are not read yet: nobody will publish them\n` +
      `${relay} can never publish this outbox again\n`,
  )
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await prompt.question('remove it? [y/N] ')).trim())
  } finally {
    prompt.close()
  }
}

const describe = ({ relay, generation, unread, already }: RelayRemoval): string =>
  already
    ? `nothing to do: relay ${relay} was removed before`
    : `relay ${relay} is removed; ${unread} events were not read and stay unpublished; a relay of another name begins shard map ${generation + 1}`
