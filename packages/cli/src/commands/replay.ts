import { OutboxError } from '@oncebox/core'
import { ReplayDesk, type ReplayPlan, type ReplaySelection, type ReplayState } from '@oncebox/relay'
import { defineCommand, type Values } from '../command.js'
import { databaseOf } from '../database-options.js'
import { exitCodes } from '../exit-code.js'
import { instantOf, whole } from '../option-values.js'
import { table } from '../table.js'

const help = `oncebox replay [--topic T]... [--key K]... [--id ID]... [--since TIME] [--until TIME] [--to TOPIC] [--yes] [--json]
oncebox replay --number N [--json]
oncebox replay --cancel N [--json]

Has the relay publish events again that it published before, as far as the outbox still has them: to their topic, or to another.
They keep their ids, so a consumer that has their marks passes over them. Without --yes it only says what would be published.

  --topic T       only events of this topic; may be given several times
  --key K         only events with this key; may be given several times
  --id ID         only the event with this id; may be given several times
  --since TIME    only events that occurred since then, such as 2026-11-26T00:00:00Z
  --until TIME    only events that occurred before then
  --to TOPIC      publish them to this topic, rather than to their own
  --yes           do it, and wait until it is done; interrupted, the relay goes on by itself
  --number N      how far replay N is; waits until it is done
  --cancel N      call replay N off: what is not published yet is not, but for a batch of each shard that is on its way
  --wait-ms N     wait so long at most; 600000 unless given
  --database URL  default: ONCEBOX_DATABASE_URL
  --config FILE   as for oncebox relay, for its db
  --json          the result as one line of JSON
`

const options = {
  topic: { type: 'string', multiple: true },
  key: { type: 'string', multiple: true },
  id: { type: 'string', multiple: true },
  since: { type: 'string' },
  until: { type: 'string' },
  to: { type: 'string' },
  yes: { type: 'boolean' },
  number: { type: 'string' },
  cancel: { type: 'string' },
  'wait-ms': { type: 'string' },
  database: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean' },
} as const

const lookMs = 500

/** `oncebox replay`. */
export const replay = defineCommand({
  name: 'replay',
  synopsis: 'replay [--topic T] [--key K] [--id ID] [--since TIME] [--until TIME] [--to TOPIC]',
  summary: 'publish events again that were published before',
  help,
  options,
  async run(values) {
    const number = whole('--number', values.number)
    const cancelled = whole('--cancel', values.cancel)
    const waitMs = whole('--wait-ms', values['wait-ms']) ?? 600_000
    const selection = selectionOf(values)
    const isEmpty = Object.values(selection).every((given) => given === undefined)
    if ([!isEmpty, number !== undefined, cancelled !== undefined].filter(Boolean).length !== 1)
      throw new OutboxError(
        'CLI_USAGE',
        'say which events, or the --number of a replay, or which one to --cancel',
      )
    await using desk = await ReplayDesk.open(await databaseOf(values, process.env))
    if (cancelled !== undefined) return await cancel(desk, cancelled, values)
    if (number !== undefined) return await follow(desk, number, waitMs, values)
    const plan = await desk.plan(selection)
    if (values.yes !== true) {
      print(values.json === true ? JSON.stringify(plan) : describePlan(plan))
      return exitCodes.done
    }
    process.stderr.write(`${describePlan(plan)}\n`)
    return await follow(desk, await desk.request(selection, values.to), waitMs, values)
  },
})

function selectionOf({ topic, key, id, since, until }: Values<typeof options>): ReplaySelection {
  return {
    topics: topic,
    keys: key,
    ids: id,
    since: instantOf('--since', since),
    until: instantOf('--until', until),
  }
}

async function cancel(desk: ReplayDesk, number: number, { json }: Values<typeof options>): Promise<number> {
  await desk.cancel(number)
  const state = await desk.state(number)
  print(json === true ? JSON.stringify(state) : describe(state))
  return exitCodes.done
}

/** Tells how far a replay is, until it has ended. */
async function follow(
  desk: ReplayDesk,
  number: number,
  waitMs: number,
  { json }: Values<typeof options>,
): Promise<number> {
  const untilMs = performance.now() + waitMs
  let state = await desk.state(number)
  for (
    let told = '';
    state.state === 'running' && performance.now() < untilMs;
    state = await desk.state(number)
  ) {
    if (describe(state) !== told) process.stderr.write(`${(told = describe(state))}\n`)
    await new Promise((resolve) => setTimeout(resolve, lookMs))
  }
  print(json === true ? JSON.stringify(state) : describe(state))
  if (state.state === 'running')
    process.stderr.write(
      `not done within ${waitMs} ms; the relay goes on by itself: oncebox replay --number ${number} waits for it\n`,
    )
  return state.state === 'done' && state.refused === 0 ? exitCodes.done : exitCodes.failed
}

function describePlan({ topics, events, missing, retainedSince }: ReplayPlan): string {
  const rows = topics.map((found) => [found.topic, String(found.events), found.oldest, found.newest])
  return [
    table([['topic', 'events', 'oldest', 'newest'], ...rows]).trimEnd(),
    `${events} events would be published again`,
    retainedSince === null
      ? 'the outbox has no events'
      : `the outbox has events since ${retainedSince}; what is older is not retained`,
    ...missing.map((id) => `not in the outbox: ${id}`),
  ].join('\n')
}

function describe({ number, state, events, refused, shards }: ReplayState): string {
  const done = shards.filter(({ stage }) => stage === 'done').length
  const what = `replay ${number}: ${events} events are published again, ${done} of ${shards.length} shards are done`
  return [
    what,
    ...(refused === 0 ? [] : [`${refused} events were left out: their topic does not take them any more`]),
    ...(state === 'cancelled' ? ['it was called off: the rest is not published'] : []),
    ...(state === 'interrupted'
      ? ['the shards were cut anew before it was done: the rest is not published; ask for it again']
      : []),
  ].join('\n')
}

const print = (line: string): void => void process.stdout.write(`${line}\n`)
