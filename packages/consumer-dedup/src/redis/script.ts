import { createHash } from 'node:crypto'
import { OutboxError } from '@oncebox/core'
import type { Cluster, Redis } from 'ioredis'

/** A client of the user's: one server, or a cluster. */
export type RedisClient = Redis | Cluster

/** A Lua script, with the name by which Redis has it in its cache. */
export interface Script {
  readonly lua: string
  readonly sha: string
}

export const defineScript = (lua: string): Script => ({
  lua,
  sha: createHash('sha1').update(lua).digest('hex'),
})

export interface ScriptCall {
  readonly keys: readonly string[]
  readonly args: readonly (string | number | Buffer)[]
  /** How long an answer is waited for. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** Awaited when the script is on its way. */
  readonly sent?: (() => void | Promise<void>) | undefined
}

/**
 * Runs a script by its hash, and by its text where Redis does not have it yet.
 *
 * Not defineCommand of ioredis: that adds methods to a client which is not ours.
 * @throws OutboxError CONSUMER_REDIS_UNAVAILABLE: nobody knows whether it ran
 */
export async function runScript(redis: RedisClient, script: Script, call: ScriptCall): Promise<unknown> {
  call.signal?.throwIfAborted()
  try {
    const answer = within(call, evaluate(redis, script, call))
    // The answer is awaited below; when the fault point throws first, nobody else looks at it.
    answer.catch(() => undefined)
    await call.sent?.()
    return await answer
  } catch (error) {
    call.signal?.throwIfAborted()
    throw OutboxError.is(error) ? error : errorOf(error)
  }
}

async function evaluate(
  redis: RedisClient,
  { sha, lua }: Script,
  { keys, args }: ScriptCall,
): Promise<unknown> {
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...args)
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return await redis.eval(lua, keys.length, ...keys, ...args)
  }
}

/** A client that is not connected keeps commands for as long as it likes: for ever, as BullMQ wants it. */
export async function within<Answer>(
  { timeoutMs, signal }: Pick<ScriptCall, 'timeoutMs' | 'signal'>,
  answer: Promise<Answer>,
): Promise<Answer> {
  const { promise, reject } = withRejection()
  const timer = setTimeout(
    () => reject(unavailable(`Redis has not answered within ${timeoutMs} ms`)),
    timeoutMs,
  )
  const abort = (): void => reject(signal?.reason)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([answer, promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

function withRejection(): { promise: Promise<never>; reject: (reason: unknown) => void } {
  let reject: (reason: unknown) => void = () => undefined
  const promise = new Promise<never>((_, refuse) => {
    reject = refuse
  })
  return { promise, reject }
}

function errorOf(cause: unknown): OutboxError {
  const said = cause instanceof Error ? cause.message : String(cause)
  // Told by Redis, before it runs anything.
  if (said.startsWith('CROSSSLOT'))
    return new OutboxError(
      'CONSUMER_REDIS_EFFECT_REFUSED',
      'the keys of the effect are not in the slot of the store: give them one hash tag, and the store the option hashTag',
      { cause },
    )
  return unavailable(`Redis has not run a script: ${said}`, cause)
}

const unavailable = (message: string, cause?: unknown): OutboxError =>
  new OutboxError('CONSUMER_REDIS_UNAVAILABLE', message, cause === undefined ? {} : { cause })
