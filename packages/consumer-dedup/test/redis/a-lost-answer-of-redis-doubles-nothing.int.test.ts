import { startProxy, type Proxy } from '@internal/proxy'
import { randomName, sharedStack } from '@internal/stack'
import { delay } from '@oncebox/core'
import { expect, onTestFinished, test } from 'vitest'
import { codeOf, connect, errorOf, newEvent, setUp, type Bench } from './fixture.js'

/** A store whose client reaches Redis through a proxy. */
async function throughProxy(
  timeoutMs = 5_000,
): Promise<Bench & { readonly proxy: Proxy; readonly url: string }> {
  const { hostname, port } = new URL(sharedStack().redis.url)
  const proxy = await startProxy({ protocol: 'redis', upstream: { host: hostname, port: Number(port) } })
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  const url = `redis://${proxy.host}:${proxy.port}`
  return { ...(await setUp(url, { timeoutMs })), proxy, url }
}

const cuts = ['cut-before', 'cut-after'] as const

// ioredis sends a command whose connection broke again when it is back: the second run must know that it is the second.
test.each(cuts)(
  'an atomic effect whose request or answer is lost happens once, and is told as handled (%s)',
  async (cut) => {
    const { dedup, redis, proxy } = await throughProxy()
    const key = randomName('counter')
    const take = (): Promise<unknown> =>
      dedup.onceInRedis(newEvent(), { keys: [key], commands: [['incr', key]] })
    await take() // Redis has the script
    for (const match of [{ request: 'EVALSHA' }, { answer: 'EVALSHA' }]) {
      const rule = proxy.on(match, cut)
      expect(await take()).toBe('handled')
      expect(rule.frames).toHaveLength(1)
    }
    expect(await redis.get(key)).toBe('3')
  },
)

test.each(cuts)('a claim and a mark whose answers are lost are still ours (%s)', async (cut) => {
  const { dedup, proxy, another } = await throughProxy()
  await dedup.once(newEvent(), () => Promise.resolve())
  const event = newEvent()
  const lostClaim = proxy.on({ answer: 'EVALSHA' }, cut)
  let lostFinish = lostClaim
  let runs = 0
  const outcome = await dedup.once(event, () => {
    runs += 1
    lostFinish = proxy.on({ answer: 'EVALSHA' }, cut)
    return Promise.resolve()
  })
  expect(outcome).toBe('handled')
  expect([lostClaim.frames.length, lostFinish.frames.length, runs]).toEqual([1, 1, 1])
  expect(await another().dedup.once(event, () => Promise.reject(new Error('ran')))).toBe('duplicate')
})

test('a Redis that does not answer holds nobody longer than timeoutMs, or than the signal lets it', async () => {
  const { dedup, proxy, redis } = await throughProxy(300)
  const event = newEvent()
  const key = randomName('counter')
  const effect = { keys: [key], commands: [['incr', key]] } as const
  await dedup.onceInRedis(newEvent(), effect)
  const rule = proxy.on({ answer: 'EVALSHA', nth: 'every' }, 'drop')
  expect(await errorOf(dedup.onceInRedis(event, effect))).toMatchObject({
    code: 'CONSUMER_REDIS_UNAVAILABLE',
    retriable: true,
  })
  const reason = new Error('stop')
  const controller = new AbortController()
  const stopped = errorOf(dedup.onceInRedis(event, effect, { signal: controller.signal }))
  await delay(50)
  controller.abort(reason)
  expect(await stopped).toBe(reason)
  rule.remove()
  redis.disconnect(true) // what was dropped would shift the answers behind it
  // Nobody knew whether it ran. The next call finds out, and nothing is doubled.
  expect(await dedup.onceInRedis(event, effect)).toBe('duplicate')
  expect(await redis.get(key)).toBe('2')
})

test('a Redis that is not there is told as that, within the bound, by a client that would wait for ever', async () => {
  const redis = connect('redis://127.0.0.1:1')
  const bench = setUp('redis://127.0.0.1:1', { redis, timeoutMs: 200 })
  expect(await codeOf(bench)).toBe('CONSUMER_REDIS_UNAVAILABLE')
})
