import { parseArgs, type ParseArgsConfig } from 'node:util'
import { OutboxError } from '@oncebox/core'
import { exitCodes } from './exit-code.js'

/** A verb of the command line. */
export interface Command {
  readonly name: string
  readonly synopsis: string
  readonly summary: string
  /** @returns The exit code. */
  run(args: readonly string[]): Promise<number>
}

type Options = NonNullable<ParseArgsConfig['options']>
/** Options as a command gets them. */
export type Values<Given extends Options> = ReturnType<
  typeof parseArgs<{ readonly options: Given }>
>['values']

interface CommandDefinition<Given extends Options> {
  readonly name: string
  readonly synopsis: string
  readonly summary: string
  /** What `--help` prints, which every command takes. */
  readonly help: string
  readonly options: Given
  /** Whether words without a dash are taken, too. */
  readonly takesWords?: boolean
  /** @returns The exit code. */
  run(values: Values<Given>, words: readonly string[]): Promise<number>
}

/**
 * A command that is told its options, parsed.
 * @throws OutboxError CLI_USAGE when it is run, for options that it does not have
 */
export function defineCommand<const Given extends Options>({
  help,
  options,
  takesWords = false,
  run,
  ...about
}: CommandDefinition<Given>): Command {
  return {
    ...about,
    run: async (args) => {
      const all: Options = { ...options, help: { type: 'boolean', short: 'h' } }
      const { values, positionals } = parse(() =>
        parseArgs({ args: [...args], allowPositionals: takesWords, options: all }),
      )
      if (values['help'] === true) {
        process.stdout.write(help)
        return exitCodes.done
      }
      // Those of `options`, and --help, which is not set.
      return await run(values as Values<Given>, positionals)
    },
  }
}

function parse<Parsed>(work: () => Parsed): Parsed {
  try {
    return work()
  } catch (cause) {
    throw new OutboxError('CLI_USAGE', cause instanceof Error ? cause.message : String(cause))
  }
}
