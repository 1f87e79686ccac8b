import { OutboxError } from '@oncebox/core'
import { DeadLetterDesk, deadLetterStates, type DeadLetter, type DeadLetterState } from '@oncebox/relay'
import { consumerLetterStates } from '@oncebox/consumer-dedup'
import { defineCommand, type Values } from '../command.js'
import { databaseOf } from '../database-options.js'
import { exitCodes } from '../exit-code.js'
import { whole } from '../option-values.js'
import { age, printable, table } from '../table.js'
import { consumerOnly, consumerOptions, runForConsumer } from './consumer-letters.js'
import { payloadOf, print } from './letter-output.js'

const help = `oncebox dead-letters list [--state STATE] [--topic T] [--key K] [--limit N] [--after NUMBER] [--json]
oncebox dead-letters show LETTER [--json]
oncebox dead-letters requeue LETTER... [--json]
oncebox dead-letters requeue --topic T [--json]
oncebox dead-letters discard LETTER... [--json]

Events that their topic could not take, and those of their keys behind them. A LETTER is a number of the list, or an id of
an event. The relay does what was asked for within about a second, in order.

  requeue         publish again; those parked behind it follow, up to the next that is refused
  discard         never publish; those parked behind it follow
  --state STATE   ${deadLetterStates.join(', ')}, or all; those that have not ended unless given
  --topic T       only events for this topic; with requeue: all dead letters of it
  --key K         only events with this key
  --limit N       at most so many; 100 unless given
  --after NUMBER  only letters behind this one, for the next page
  --database URL  default: ONCEBOX_DATABASE_URL, or db of --config FILE

oncebox dead-letters list --consumer NAME [--state STATE] [--limit N] [--after NUMBER] [--json]
oncebox dead-letters show LETTER --consumer NAME [--json]
oncebox dead-letters replay LETTER... | --type T | --code C | --all --consumer NAME [--yes] [--json]
oncebox dead-letters discard LETTER... | --type T | --code C | --all --consumer NAME [--yes] [--json]

Events that a consumer has given up. A LETTER of digits is a number of the list; an id of an event that is digits only is
given as id:17. Without --yes nothing is done, and what would be is counted.

  replay          back into the queues of their keys, in order, before what waits there: a running process of the
                  consumer runs its handler on them within seconds. What fails again is a dead letter again
  discard         never run; the copy stays
  --state STATE   ${consumerLetterStates.join(', ')}, or all; dead unless given
  --type T        only events of this type
  --code C        only those that failed with this code
`

const options = {
  state: { type: 'string' },
  topic: { type: 'string' },
  key: { type: 'string' },
  limit: { type: 'string' },
  after: { type: 'string' },
  database: { type: 'string' },
  config: { type: 'string' },
  json: { type: 'boolean' },
  ...consumerOptions,
} as const

/** `oncebox dead-letters`. */
export const deadLetters = defineCommand({
  name: 'dead-letters',
  synopsis: 'dead-letters list | show | requeue | discard | replay',
  summary: 'events that their topic could not take, or that a consumer has given up',
  help,
  options,
  takesWords: true,
  async run(values, [action = '', ...letters]) {
    if (values.consumer !== undefined) return await runForConsumer(values.consumer, values, action, letters)
    const ofConsumers = consumerOnly.find((option) => values[option] !== undefined)
    if (ofConsumers !== undefined || action === 'replay')
      throw new OutboxError(
        'CLI_USAGE',
        `${ofConsumers === undefined ? 'replay' : `--${ofConsumers}`} is for dead letters of a consumer: --consumer NAME`,
      )
    const act = actions.get(action)
    if (act === undefined)
      throw new OutboxError(
        'CLI_USAGE',
        `${action === '' ? 'what is to be done with dead letters?' : `dead-letters ${action}?`} One of ${[...actions.keys()].join(', ')}`,
      )
    await using desk = await DeadLetterDesk.open(await databaseOf(values, process.env))
    await act(desk, values, letters)
    return exitCodes.done
  },
})

type Action = (
  desk: DeadLetterDesk,
  values: Values<typeof options>,
  letters: readonly string[],
) => Promise<void>

const actions: ReadonlyMap<string, Action> = new Map<string, Action>([
  ['list', list],
  ['show', show],
  ['requeue', requeue],
  ['discard', discard],
])

async function list(
  desk: DeadLetterDesk,
  values: Values<typeof options>,
  letters: readonly string[],
): Promise<void> {
  if (letters.length > 0) throw new OutboxError('CLI_USAGE', 'dead-letters list takes no LETTER')
  const limit = whole('--limit', values.limit, 1, 10_000) ?? 100
  const after = whole('--after', values.after)
  const found = await desk.list({
    limit,
    ...(values.state !== undefined && { states: statesOf(values.state) }),
    ...(values.topic !== undefined && { topic: values.topic }),
    ...(values.key !== undefined && { key: values.key }),
    ...(after !== undefined && { after }),
  })
  if (values.json === true) return print(JSON.stringify(found))
  if (found.length === 0) return print('there is none')
  process.stdout.write(
    table([['number', 'state', 'set aside', 'topic', 'key', 'event', 'why'], ...found.map(row)]),
  )
  const last = found.at(-1)
  if (found.length === limit && last !== undefined) print(`more: --after ${last.number}`)
}

async function show(
  desk: DeadLetterDesk,
  { json }: Values<typeof options>,
  letters: readonly string[],
): Promise<void> {
  const [letter] = letters
  if (letter === undefined || letters.length > 1) throw new OutboxError('CLI_USAGE', 'show one LETTER')
  const found = await desk.show(letter)
  const payload = payloadOf(found)
  if (json === true) return print(JSON.stringify({ ...found, ...payload }))
  const fields = Object.entries({ ...found, headers: JSON.stringify(found.headers), ...payload })
  process.stdout.write(table(fields.map(([name, value]) => [name, printable(String(value ?? ''))])))
}

async function requeue(
  desk: DeadLetterDesk,
  values: Values<typeof options>,
  letters: readonly string[],
): Promise<void> {
  if (letters.length > 0 === (values.topic !== undefined))
    throw new OutboxError('CLI_USAGE', 'requeue LETTERs, or all of a topic with --topic')
  const { requested } =
    values.topic === undefined ? await desk.requeue(letters) : await desk.requeueTopic(values.topic)
  tell(values, 'publish again', requested)
}

async function discard(
  desk: DeadLetterDesk,
  values: Values<typeof options>,
  letters: readonly string[],
): Promise<void> {
  if (letters.length === 0) throw new OutboxError('CLI_USAGE', 'discard which LETTER?')
  tell(values, 'discard', (await desk.discard(letters)).requested)
}

function tell({ json }: Values<typeof options>, what: string, requested: readonly number[]): void {
  if (json === true) return print(JSON.stringify({ requested }))
  print(`the relay is asked to ${what}: ${requested.length} dead letter${requested.length === 1 ? '' : 's'}`)
}

function statesOf(state: string): readonly DeadLetterState[] {
  if (state === 'all') return deadLetterStates
  const known = deadLetterStates.find((one) => one === state)
  if (known !== undefined) return [known]
  throw new OutboxError('CLI_USAGE', `--state ${state}: it must be ${deadLetterStates.join(', ')} or all`)
}

const row = ({ number, state, setAsideAt, topic, key, id, code }: DeadLetter): readonly string[] => [
  String(number),
  state,
  `${age(Math.max(0, Date.now() - Date.parse(setAsideAt)))} ago`,
  printable(topic),
  key === null ? '' : short(printable(key)),
  id,
  code ?? '',
]

const keyMax = 40
const short = (text: string): string => (text.length > keyMax ? `${text.slice(0, keyMax - 1)}…` : text)
