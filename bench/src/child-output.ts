import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

export interface Child {
  /** Names the process in errors. */
  readonly name: string
  readonly program: string
  readonly arguments: readonly string[]
  /** Added to this process's own. */
  readonly environment?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

// No drain takes a tenth of it on the slowest machine seen.
const deadlineMs = 600_000

/** Runs a process to its end and returns what it wrote to standard output. Its complaints go to ours. */
export async function outputOf(child: Child): Promise<string> {
  const running = spawn(child.program, child.arguments, {
    env: { ...process.env, ...child.environment },
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: AbortSignal.any([child.signal, AbortSignal.timeout(deadlineMs)]),
  })
  const [output, [code, signal]] = await Promise.all([text(running.stdout), once(running, 'exit')])
  if (code !== 0) throw new Error(`${child.name} ended with ${String(signal ?? code)}`)
  return output
}
