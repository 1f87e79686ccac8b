/** The command line of the demo. */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'

export interface DemoOptions {
  readonly orders: number
  /** Draws customers, orders, and which process is killed when. */
  readonly seed: number
  readonly kills: number
  readonly keep: boolean
  readonly json: string | undefined
}

/** Wrong use: the message says what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export const usage = `pnpm demo [options]

  --orders N    orders to place; 2000 unless given, at most 100000
  --seed S      repeats the same customers, orders and kills; random unless given
  --kills N     processes to kill with SIGKILL while there is traffic; 12 unless given, at most 1000
  --no-faults   kill nothing
  --keep        leave everything running afterwards and print the URLs, until Ctrl-C
  --json FILE   write the result to FILE as well

Ends with 0 when every promise held, 1 when one broke, 2 for wrong use, 3 when a service is unavailable.`

/** Reads the command line; undefined when it asks for help. */
export function parseOptions(args: readonly string[]): DemoOptions | undefined {
  const { values } = parsed(args)
  if (values.help === true) return undefined
  const noFaults = values['no-faults'] === true
  if (noFaults && values.kills !== undefined)
    throw new UsageError('--no-faults and --kills exclude each other: leave one out')
  if (values.json === '') throw new UsageError('--json needs the name of a file')
  return {
    orders: whole('--orders', values.orders, 2_000, 1, 100_000),
    seed: whole('--seed', values.seed, randomInt(2 ** 32), 0, 2 ** 32 - 1),
    kills: noFaults ? 0 : whole('--kills', values.kills, 12, 0, 1_000),
    keep: values.keep === true,
    json: values.json,
  }
}

function parsed(args: readonly string[]) {
  const options = {
    orders: { type: 'string' },
    seed: { type: 'string' },
    kills: { type: 'string' },
    'no-faults': { type: 'boolean' },
    keep: { type: 'boolean' },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  } as const
  try {
    // `pnpm demo -- --orders 5` hands on the two dashes.
    return parseArgs({ args: args[0] === '--' ? args.slice(1) : [...args], options })
  } catch (cause) {
    throw new UsageError(
      `${cause instanceof Error ? cause.message.split('. ')[0] : String(cause)}; \`pnpm demo --help\` lists the options`,
      { cause },
    )
  }
}

function whole(
  option: string,
  text: string | undefined,
  byDefault: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return byDefault
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < min || number > max)
    throw new UsageError(`${option} is ${JSON.stringify(text)}: give a whole number from ${min} to ${max}`)
  return number
}
