/** What the tests of hand-overs share: queues, workers, processes to be killed. */
import { agentUrl } from '@internal/faults'
import { randomName, sharedStack } from '@internal/stack'
import { createRedisDedup, type RedisDedup } from '@oncebox/consumer-dedup/redis'
import { Queue, Worker, type Processor, type WorkerOptions } from 'bullmq'
import { Redis } from 'ioredis'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export const hourMs = 3_600_000
/** So short that tests could wait for it, and enough for what they do. */
export const redelivery = { topicRetentionMs: 60_000, segmentMs: 0 } as const

interface Connection {
  readonly host: string
  readonly port: number
}

export function connectionTo(url = sharedStack().redis.url): Connection {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}

export interface Mail {
  readonly to: string
}

/** A queue under a name of its own, gone with the test. */
export function openQueue(): Queue<Mail> {
  const queue = new Queue<Mail>(randomName('mails'), { connection: connectionTo() })
  onTestFinished(async () => {
    await queue.obliterate({ force: true })
    await queue.close()
  })
  return queue
}

/** A worker in this process. */
export function work(
  queue: Queue<Mail>,
  processor: Processor<Mail>,
  options: Partial<WorkerOptions> = {},
): Worker<Mail> {
  const worker = new Worker<Mail>(queue.name, processor, { connection: connectionTo(), ...options })
  worker.on('error', () => undefined)
  onTestFinished(() => worker.close(true))
  return worker
}

export function connect(url = sharedStack().redis.url): Redis {
  const redis = new Redis(url, { maxRetriesPerRequest: null })
  redis.on('error', () => undefined)
  onTestFinished(() => redis.disconnect())
  return redis
}

/** A dedup store of a consumer that is known to Redis. */
export async function openDedup(consumer = randomName('mailer')): Promise<RedisDedup> {
  const dedup = createRedisDedup({
    redis: connect(),
    consumer,
    leaseMs: 5_000,
    retentionMs: hourMs,
    onAmnesia: 'stop',
  })
  await dedup.accept()
  return dedup
}

let events = 0
export const newEvent = (): { source: string; id: string } => ({
  source: 'order-service',
  id: `event:${process.pid}:${(events += 1)}`, // BullMQ takes no colons
})

export interface Program {
  /** The signal that ended it; null when it ended by itself. */
  readonly ended: Promise<NodeJS.Signals | null>
  kill(signal: NodeJS.Signals): void
}

/** Runs test/programs/NAME.mjs, with the faults that it is to meet. */
export function runProgram(name: 'hand-over' | 'worker', settings: object, fault = ''): Program {
  const program = fileURLToPath(new URL(`programs/${name}.mjs`, import.meta.url))
  const child = spawn(process.execPath, ['--import', agentUrl, program, JSON.stringify(settings)], {
    env: { ...process.env, ONCEBOX_FAULT: fault },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return {
    ended: once(child, 'close').then(([, signal]) => signal as NodeJS.Signals | null), // the event's documented arguments
    kill: (signal) => void child.kill(signal),
  }
}
