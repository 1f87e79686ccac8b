/** What the tests of dedup in Redis share: servers, clients, effects that are counted, processes to be killed. */
import { agentUrl } from '@internal/faults'
import { randomName, sharedStack } from '@internal/stack'
import { createRedisDedup, type RedisDedup, type RedisDedupOptions } from '@oncebox/consumer-dedup/redis'
import { OutboxError, type ErrorCode } from '@oncebox/core'
import { Redis, type RedisOptions } from 'ioredis'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

export const hourMs = 3_600_000

/** A client that ends with the test. */
export function connect(url = sharedStack().redis.url, options: RedisOptions = {}): Redis {
  const redis = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null, ...options })
  redis.on('error', () => undefined) // servers are killed here
  onTestFinished(() => redis.disconnect())
  return redis
}

export interface Bench {
  readonly redis: Redis
  readonly consumer: string
  readonly dedup: RedisDedup
  /** Another process's view: a client and a store of its own, same consumer. */
  another(options?: Partial<RedisDedupOptions>): { readonly redis: Redis; readonly dedup: RedisDedup }
}

/** A store under a name of its own, accepted as a person would accept a new consumer. */
export async function setUp(url?: string, options: Partial<RedisDedupOptions> = {}): Promise<Bench> {
  const consumer = randomName('billing')
  const another = (others: Partial<RedisDedupOptions> = {}): { redis: Redis; dedup: RedisDedup } => {
    const redis = connect(url)
    const dedup = createRedisDedup({
      redis,
      consumer,
      retentionMs: hourMs,
      leaseMs: 10_000,
      onAmnesia: 'stop',
      ...options,
      ...others,
    })
    return { redis, dedup }
  }
  const first = another()
  await first.dedup.accept()
  return { ...first, consumer, another }
}

let events = 0
export const newEvent = (): { source: string; id: string } => ({
  source: 'orders',
  id: `event-${process.pid}-${(events += 1)}`,
})

/** The code of what a promise rejects with; `none` when it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | 'none'> {
  const error = await errorOf(promise)
  if (error === undefined) return 'none'
  if (OutboxError.is(error)) return error.code
  throw error
}

export const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

/** A promise, and what resolves it: how a test holds an effect open. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

const program = fileURLToPath(new URL('../programs/redis-once.mjs', import.meta.url))

export interface OnceSettings {
  readonly url: string
  readonly consumer: string
  readonly form: 'plain' | 'in-redis'
  readonly leaseMs: number
  readonly source: string
  readonly ids: readonly string[]
  /** A list for the plain form's effects, a hash for the atomic form's. */
  readonly effects: string
}

/** A process that handles events, one after another, until a fault ends it: the signal, and what it said. */
export async function runOnceProcess(
  settings: OnceSettings,
  fault = '',
): Promise<{ readonly signal: NodeJS.Signals | null; readonly said: string }> {
  const child = spawn(process.execPath, ['--import', agentUrl, program, JSON.stringify(settings)], {
    env: { ...process.env, ONCEBOX_FAULT: fault },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null] // the event's documented arguments
  return { signal, said }
}
