/** The process behind `pnpm stack up`: starts the services, tells its parent, and stays until `down`. */
import { serveControl } from './control.js'
import type { StackAddresses } from './environment.js'
import { StackError, type StackErrorCode } from './stack-error.js'
import { startStack, type Stack } from './stack.js'

/** What the supervisor tells the `up` that started it. */
export type SupervisorNews =
  | { readonly kind: 'progress'; readonly part: string; readonly text: string; readonly elapsedMs: number }
  | { readonly kind: 'ready'; readonly addresses: StackAddresses }
  | { readonly kind: 'already-running' }
  | {
      readonly kind: 'failed'
      readonly code: StackErrorCode
      readonly message: string
      readonly remedy: string
    }

const tell = (news: SupervisorNews): void => {
  if (process.connected) process.send?.(news)
}

const tellFailure = (error: unknown): void => {
  const failure = StackError.is(error)
    ? error
    : new StackError('STACK_SUPERVISOR_FAILED', error instanceof Error ? error.message : String(error))
  tell({ kind: 'failed', code: failure.code, message: failure.message, remedy: failure.remedy })
}

const giveUp = new AbortController()
let stack: Stack | undefined

const stop = async (): Promise<void> => {
  giveUp.abort(new Error('stopped while starting'))
  await stack?.stop()
  // In the next turn, when the answer has been written to whoever asked. Whatever is left, the lifeline ends.
  setImmediate(() => process.exit(0))
}

const run = async (): Promise<void> => {
  const status = () => ({ pid: process.pid, ready: stack !== undefined, addresses: stack?.addresses ?? {} })
  if (!(await serveControl({ status, stop }))) return tell({ kind: 'already-running' })
  const onProgress = (part: string, text: string, elapsedMs: number): void =>
    tell({ kind: 'progress', part, text, elapsedMs })
  stack = await startStack({ signal: giveUp.signal, onProgress })
  tell({ kind: 'ready', addresses: stack.addresses })
}

process.on('SIGTERM', () => void stop()).on('SIGINT', () => void stop())
// An `up` that was interrupted takes its half-started stack with it; one that has its answer hangs up too.
process.on('disconnect', () => {
  if (stack === undefined) giveUp.abort(new Error('`stack up` was interrupted'))
})

try {
  await run()
} catch (error) {
  tellFailure(error)
}
if (process.connected) process.disconnect()
if (stack === undefined) process.exit(1)
