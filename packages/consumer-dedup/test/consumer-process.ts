/** A real consumer process, to be killed. */
import { agentUrl } from '@internal/faults'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('programs/consumer.mjs', import.meta.url))

export interface ProcessSettings {
  readonly url: string
  readonly brokers: readonly string[]
  readonly topic: string
  readonly name: string
  readonly group: string
  readonly options?: object
  readonly killAtValue?: number
  readonly handlerMs?: number
}

export interface ConsumerProcess {
  /** The signal that ended it; null when it ended by itself. */
  readonly ended: Promise<NodeJS.Signals | null>
  kill(signal: NodeJS.Signals): void
  /** Resolves when its consumer runs. */
  readonly started: Promise<unknown>
}

export function startConsumerProcess(settings: ProcessSettings, fault = ''): ConsumerProcess {
  const child = spawn(process.execPath, ['--import', agentUrl, program, JSON.stringify(settings)], {
    env: { ...process.env, ONCEBOX_FAULT: fault },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return {
    ended: once(child, 'close').then(([, signal]) => signal as NodeJS.Signals | null), // the event's documented arguments
    kill: (signal) => void child.kill(signal),
    started: once(child.stdout, 'data'),
  }
}
