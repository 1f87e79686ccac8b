/** A real consumer process of any mode, to be killed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { agentUrl } from '@internal/faults'
import type { ParkKeyOptions, RetryOptions, RetryTopicsOptions } from '@oncebox/consumer-dedup'
import type { ModeUnderTest } from './modes.js'

export interface ProgramSettings extends Pick<ModeUnderTest, 'mode' | 'driver'> {
  readonly url: string
  readonly brokers: readonly string[]
  /** For the mode `redis`. */
  readonly redisUrl?: string
  readonly topic: string
  /** Where the effects of the mode `kafka` go. */
  readonly outputTopic: string
  readonly name: string
  readonly group: string
  /** One handler for batches. */
  readonly batches?: boolean
  readonly options?: { readonly retry?: RetryOptions; readonly [option: string]: unknown }
  /** Options of parkKey. */
  readonly parking?: ParkKeyOptions
  /** Options of retryTopics. The database has a table `tries` then, with a row for each call of the handler. */
  readonly tiers?: Omit<RetryTopicsOptions, 'topicName'>
  /** By value: how often the handler throws; -1 is for ever, 'permanent' and 'excluded' give up at once. */
  readonly failing?: Readonly<Record<number, number | 'permanent' | 'excluded'>>
  readonly killAtValue?: number
  /** Of an event that has failed before, when it does not fail. */
  readonly killInQueueAtValue?: number
  /** Not before so many parked events are in hand. */
  readonly killWhenInHand?: number
  /** Of an event that has failed before, whose handler does not return then. */
  readonly hangInQueueAtValue?: number
  readonly handlerMs?: number
}

/** The list that holds the effects of a consumer in the mode `redis`. */
export const effectsList = (consumer: string): string => `${consumer}:effects`

export interface ConsumerProcess {
  /** The signal that ended it; null when it ended by itself. */
  readonly ended: Promise<NodeJS.Signals | null>
  kill(signal: NodeJS.Signals): void
  /** Resolves when its consumer runs. */
  readonly started: Promise<unknown>
}

/** @param fault Of ONCEBOX_FAULT. */
export function startConsumer(settings: ProgramSettings, fault = ''): ConsumerProcess {
  const program = fileURLToPath(new URL('program.js', import.meta.url))
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
