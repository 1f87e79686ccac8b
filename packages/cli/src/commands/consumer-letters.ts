import pg from 'pg'
import {
  ConsumerLetters,
  consumerLetterStates,
  letterUnknown,
  type ConsumerLetter,
  type ConsumerLetterState,
  type LetterSelection,
  type NamedLetters,
} from '@oncebox/consumer-dedup'
import { OutboxError } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import { databaseOf } from '../database-options.js'
import { exitCodes } from '../exit-code.js'
import { whole } from '../option-values.js'
import { age, printable, table } from '../table.js'
import { payloadOf, print } from './letter-output.js'

/** What `oncebox dead-letters` takes for the letters of a consumer. */
export const consumerOptions = {
  consumer: { type: 'string' },
  type: { type: 'string' },
  code: { type: 'string' },
  all: { type: 'boolean' },
  yes: { type: 'boolean' },
} as const

/** Those that mean nothing without `--consumer`. */
export const consumerOnly = ['type', 'code', 'all', 'yes'] as const

interface Values {
  readonly config?: string | undefined
  readonly database?: string | undefined
  readonly type?: string | undefined
  readonly code?: string | undefined
  readonly all?: boolean | undefined
  readonly yes?: boolean | undefined
  readonly state?: string | undefined
  readonly limit?: string | undefined
  readonly after?: string | undefined
  readonly json?: boolean | undefined
  readonly topic?: string | undefined
  readonly key?: string | undefined
}

type Letters = ConsumerLetters<unknown>
type Action = (desk: Letters, consumer: string, values: Values, letters: readonly string[]) => Promise<void>

const actions: ReadonlyMap<string, Action> = new Map<string, Action>([
  ['list', list],
  ['show', show],
  ['replay', (desk, consumer, values, letters) => change('replay', desk, consumer, values, letters)],
  ['discard', (desk, consumer, values, letters) => change('discard', desk, consumer, values, letters)],
])

/** @returns The exit code. */
export async function runForConsumer(
  consumer: string,
  values: Values,
  action: string,
  letters: readonly string[],
): Promise<number> {
  const act = actions.get(action)
  if (act === undefined)
    throw new OutboxError('CLI_USAGE', `dead letters of a consumer: one of ${[...actions.keys()].join(', ')}`)
  if (values.topic !== undefined || values.key !== undefined)
    throw new OutboxError('CLI_USAGE', '--topic and --key are for dead letters of the relay')
  const pool = new pg.Pool({
    ...(await databaseOf(values, process.env)),
    max: 1,
    connectionTimeoutMillis: 10_000,
  })
  pool.on('error', () => undefined)
  try {
    await act(new ConsumerLetters(fromPg(pool), consumer), consumer, values, letters)
  } finally {
    await pool.end()
  }
  return exitCodes.done
}

async function list(
  desk: Letters,
  _consumer: string,
  values: Values,
  letters: readonly string[],
): Promise<void> {
  if (letters.length > 0) throw new OutboxError('CLI_USAGE', 'dead-letters list takes no LETTER')
  const limit = whole('--limit', values.limit, 1, 10_000) ?? 100
  const after = whole('--after', values.after) ?? 0
  const found = await desk.list({ states: statesOf(values.state), limit, after: String(after) })
  if (values.json === true) return print(JSON.stringify(found.map(describe)))
  if (found.length === 0) return print('there is none')
  process.stdout.write(
    table([['number', 'state', 'parked', 'topic', 'type', 'event', 'attempts', 'why'], ...found.map(row)]),
  )
  const last = found.at(-1)
  if (found.length === limit && last !== undefined) print(`more: --after ${last.number}`)
}

async function show(
  desk: Letters,
  consumer: string,
  { json }: Values,
  letters: readonly string[],
): Promise<void> {
  const [letter] = letters
  if (letter === undefined || letters.length > 1) throw new OutboxError('CLI_USAGE', 'show one LETTER')
  const [found] = await desk.list({ letters: named(letters), states: consumerLetterStates, limit: 1 })
  if (found === undefined) throw letterUnknown(consumer, letter)
  const copy = { ...describe(found), ...payloadOf(found) }
  if (json === true) return print(JSON.stringify(copy))
  const fields: readonly [string, unknown][] = Object.entries(copy)
  process.stdout.write(table(fields.map(([name, value]) => [name, printable(textOf(value))])))
}

async function change(
  what: 'replay' | 'discard',
  desk: Letters,
  consumer: string,
  values: Values,
  letters: readonly string[],
): Promise<void> {
  const { type, code, all, yes, json } = values
  if (letters.length === 0 && type === undefined && code === undefined && all !== true)
    throw new OutboxError('CLI_USAGE', `${what} LETTERs, or those of a --type or --code, or --all`)
  const selection: LetterSelection = {
    letters: letters.length > 0 ? named(letters) : undefined,
    type,
    code,
  }
  if (yes === true) {
    const done = await desk[what](selection)
    if (json === true) return print(JSON.stringify({ [what]: done }))
    return print(
      what === 'replay'
        ? `consumer ${consumer} runs them again, in order: ${done}`
        : `discarded: ${done} dead letters of consumer ${consumer}`,
    )
  }
  const counts = await desk.count(selection)
  if (json === true) return print(JSON.stringify({ dryRun: true, counts }))
  if (counts.length === 0) return print('there is none')
  process.stdout.write(
    table([
      ['type', 'code', 'dead letters'],
      ...counts.map((one) => [printable(one.type ?? ''), one.code, String(one.letters)]),
    ]),
  )
  print(`nothing is done; to ${what} them: --yes`)
}

/** Digits are a number of the list; `id:` stands before an id that looks like one. */
function named(letters: readonly string[]): NamedLetters {
  const isNumber = (letter: string): boolean => /^\d{1,18}$/.test(letter)
  return {
    numbers: letters.filter(isNumber),
    ids: letters.filter((letter) => !isNumber(letter)).map((letter) => letter.replace(/^id:/, '')),
  }
}

function statesOf(state = 'dead'): readonly ConsumerLetterState[] {
  if (state === 'all') return consumerLetterStates
  const known = consumerLetterStates.find((one) => one === state)
  if (known !== undefined) return [known]
  throw new OutboxError('CLI_USAGE', `--state ${state}: it must be ${consumerLetterStates.join(', ')} or all`)
}

const textOf = (value: unknown): string =>
  value === null || value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value)

/** Without the payload. */
function describe({ payload, key, parkedAt, ...letter }: ConsumerLetter): Record<string, unknown> {
  return {
    ...letter,
    parkedAt: parkedAt.toISOString(),
    key: key === null ? null : key.toString('utf8'),
    payloadBytes: payload?.length ?? null,
  }
}

const row = ({ number, state, parkedAt, topic, type, id, attempts, code }: ConsumerLetter): string[] => [
  number,
  state,
  `${age(Math.max(0, Date.now() - parkedAt.getTime()))} ago`,
  topic,
  printable(type ?? ''),
  printable(id),
  String(attempts),
  code,
]
