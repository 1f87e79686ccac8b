/** Runs a program to its end, for the set-up of services (initdb, mvn, apt-get, dpkg). */
import { execFile } from 'node:child_process'
import type { Account } from './account.js'
import { theLifeline, type Hold } from './lifeline.js'

export interface CommandOptions {
  readonly directory?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly account?: Account | undefined
  readonly signal?: AbortSignal | undefined
  readonly withinMs?: number
}

/** A program that could not be started or ended with a failure. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  constructor(
    command: string,
    readonly output: string,
    /** True when there is no such program. */
    readonly missing: boolean,
    cause: unknown,
  ) {
    super(missing ? `${command}: not found` : `${command} failed\n${output}`, { cause })
  }
}

const outputBytesMax = 16 * 1024 * 1024

/** Resolves with what the program printed on both outputs; rejects with a {@link CommandError}. */
export const runCommand = (
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      {
        cwd: options.directory,
        env: { ...process.env, ...options.environment },
        signal: options.signal,
        timeout: options.withinMs ?? 600_000,
        maxBuffer: outputBytesMax,
        ...options.account,
      },
      (error, stdout, stderr) => {
        theLifeline().release(hold)
        if (error === null) return resolve(`${stdout}${stderr}`)
        if (options.signal?.aborted) return reject(options.signal.reason)
        reject(new CommandError(command, `${stdout}${stderr}`.trim(), error.code === 'ENOENT', error))
      },
    )
    const hold: Hold = { signal: 'KILL', pid: child.pid ?? 0 }
    if (hold.pid !== 0) theLifeline().hold(hold)
  })
