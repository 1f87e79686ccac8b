import { createInterface } from 'node:readline/promises'
import { OutboxError } from '@oncebox/core'
import { adopt as letGoOn, type AdoptionReport, type ToldEvent, type TornDecision } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { exitCodes } from '../exit-code.js'
import { loadRelayOptions } from '../load-relay-options.js'
import { table } from '../table.js'

const help = `oncebox adopt [--config FILE] [--dry-run] [--yes] [--list] [--json] [--torn commit|abort] [--anyway]
              [--accept-nothing-in-common]

Lets an outbox go on when its database and Kafka disagree about what was published: after a lossy failover, a restored
dump, a lost progress topic, in another cluster, or when Kafka has left a transaction half ended. Compares both by event
id, asks, publishes exactly the events that are certainly absent, and lets relays go on. Interrupted, run it again.

  --config FILE   as for oncebox relay, with the same environment variables; the role must own schema outbox
  --dry-run       compare and say what would be done; nothing is changed
  --yes           publish what is absent without being asked
  --list          also print each event that is absent, and each of which nobody can know
  --torn HOW      end transactions so that are half ended, where the outbox has some of their events only: commit or abort
  --anyway        also when the relay could go on by itself: for a topic that was created anew
  --accept-nothing-in-common
                  bind an outbox to a Kafka that has none of its events, such as a new and empty cluster
`

/** `oncebox adopt`. */
export const adopt = defineCommand({
  name: 'adopt',
  synopsis: 'adopt [--dry-run] [--yes]',
  summary: 'let an outbox go on after a failover, a restore, or a loss in Kafka',
  help,
  options: {
    config: { type: 'string' },
    'dry-run': { type: 'boolean' },
    yes: { type: 'boolean' },
    list: { type: 'boolean' },
    json: { type: 'boolean' },
    torn: { type: 'string' },
    anyway: { type: 'boolean' },
    'accept-nothing-in-common': { type: 'boolean' },
  },
  async run(values) {
    const json = values.json === true
    const torn = tornDecision(values.torn)
    const options = await loadRelayOptions(values.config, process.env)
    const interrupted = new AbortController()
    const onInterrupt = (): void => interrupted.abort(new OutboxError('RELAY_ADOPTING', 'interrupted'))
    process.once('SIGINT', onInterrupt)
    try {
      const report = await letGoOn(options, {
        dryRun: values['dry-run'] === true,
        anyway: values.anyway === true,
        acceptNothingInCommon: values['accept-nothing-in-common'] === true,
        confirm: async (plan) => values.yes === true || (await ask(plan, interrupted.signal)),
        ...(torn !== undefined && { torn }),
        ...(values.list === true && { onEvent: (event) => process.stdout.write(lineOf(event, json)) }),
        onProgress: (sentence) => process.stderr.write(`${sentence}\n`),
        signal: interrupted.signal,
      })
      process.stdout.write(json ? `${JSON.stringify(report)}\n` : describe(report))
      return report.outcome === 'declined' ? exitCodes.failed : exitCodes.done
    } finally {
      process.removeListener('SIGINT', onInterrupt)
    }
  },
})

function tornDecision(text: string | undefined): TornDecision | undefined {
  if (text === undefined || text === 'commit' || text === 'abort') return text
  throw new OutboxError('CLI_USAGE', `--torn ${text}: it must be commit or abort`)
}

/** Nobody is asked where nobody sits. */
async function ask(plan: AdoptionReport, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY) return false
  process.stderr.write(findings(plan))
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`publish ${plan.events.absent} absent events? (yes/no) `, {
      signal,
    })
    return answer.trim().toLowerCase() === 'yes'
  } finally {
    terminal.close()
  }
}

function lineOf({ seq, ...event }: ToldEvent, json: boolean): string {
  if (json) return `${JSON.stringify({ ...event, seq: String(seq) })}\n`
  return `${event.finding} (${event.why})  ${event.topic}  ${event.id}  seq ${seq}\n`
}

function describe(report: AdoptionReport): string {
  const { outcome, published, restamped, generation } = report
  switch (outcome) {
    case 'nothing-to-do':
      return 'nothing to do: the relay goes on by itself\n'
    case 'planned':
      return `${findings(report)}nothing was changed\n`
    case 'declined':
      return `${findings(report)}nothing was published, and relays wait: run oncebox adopt again, with --yes or at a terminal\n`
    case 'adopted': {
      const foreign = restamped === 0 ? '' : `, ${restamped} rows had transaction ids of another server`
      return `${findings(report)}${published} events published${foreign}; shard map ${generation}, relays go on by themselves\n`
    }
  }
}

function findings({ reasons, topics, keysOutOfOrder: { count, keys }, ended }: AdoptionReport): string {
  const rows = topics.map(({ topic, present, absent, absentAfterPublication, gone, unknown, deadLetters }) =>
    [topic, present, absent, absentAfterPublication, gone, unknown, deadLetters].map(String),
  )
  const header = ['topic', 'present', 'absent', 'of these published once', 'gone', 'unknown', 'dead letters']
  const some = keys.slice(0, 10).map(({ topic, key }) => `  ${topic} ${JSON.stringify(key)}\n`)
  const disorder = `${count} keys have later events in their topic than one that was absent, so those come out of order:\n`
  return [
    ...reasons.map((reason) => `${reason}\n`),
    ...ended.map(({ topic, partition, how, events }) => `${topic}-${partition}: ${how}, ${events} events\n`),
    ...(rows.length === 0 ? [] : [table([header, ...rows])]),
    ...(count === 0 ? [] : [disorder, ...some, ...(count > some.length ? ['  ...\n'] : [])]),
  ].join('')
}
