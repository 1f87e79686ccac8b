import { startPrivateRedis, type PrivateRedis } from '@internal/stack'
import { channels, delay } from '@oncebox/core'
import type { EventKey } from '@oncebox/consumer-dedup/redis'
import type { Redis } from 'ioredis'
import { cp, rm } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { codeOf, connect, errorOf, newEvent, setUp, type Bench } from './fixture.js'

const nothing = (): Promise<void> => Promise.resolve()
const mustNotRun = (): Promise<never> => Promise.reject(new Error('the effect ran'))

async function startRedis(settings: Record<string, string> = {}): Promise<PrivateRedis> {
  const server = await startPrivateRedis({ settings: { 'repl-diskless-sync-delay': '0', ...settings } })
  onTestFinished(() => server[Symbol.asyncDispose]())
  return server
}

/** Handles one event and says which loss is told; `none` when it is handled. */
async function lossOf({ dedup }: Pick<Bench, 'dedup'>): Promise<unknown> {
  const error = await errorOf(dedup.once(newEvent(), nothing))
  if (error === undefined) return 'none'
  return Object(error).code === 'CONSUMER_REDIS_AMNESIA' ? Object(error).details.loss : error
}

/** Sends a client to another server, as a failover does. */
function moveTo(redis: Redis, server: PrivateRedis): void {
  redis.options.port = server.port
  redis.disconnect(true)
}

describe('a Redis that knows nothing of a consumer', () => {
  test('is told from one that is new by a person only: nothing is handled before accept()', async () => {
    const server = await startRedis()
    const bench = await setUp(server.url)
    const { redis, dedup, another } = bench
    const done = newEvent()
    await dedup.once(done, nothing)
    expect(await dedup.accept()).toBe(undefined) // nothing was lost
    expect(await dedup.once(done, mustNotRun)).toBe('duplicate')

    const told: unknown[] = []
    const listen = (message: unknown): void => void told.push(message)
    channels.consumerRedisAmnesia.subscribe(listen)
    onTestFinished(() => {
      channels.consumerRedisAmnesia.unsubscribe(listen)
    })
    await redis.flushall()
    const startedLater = another()
    expect(await lossOf(bench)).toBe('missing')
    expect(await lossOf(startedLater)).toBe('missing')
    expect(await codeOf(dedup.onceInRedis(newEvent(), { keys: ['k'], commands: [['set', 'k', 1]] }))).toBe(
      'CONSUMER_REDIS_AMNESIA',
    )
    expect(await codeOf(dedup.check())).toBe('CONSUMER_REDIS_AMNESIA')
    expect(told[0]).toMatchObject({ consumer: bench.consumer, loss: 'missing', renewed: false })
    expect(await redis.exists('k')).toBe(0)

    expect(await startedLater.dedup.accept()).toBe('missing')
    expect(await lossOf(bench)).toBe('none')
    expect(await lossOf(startedLater)).toBe('none')
  })

  test('while an effect runs: its mark is refused, and says why', async () => {
    const server = await startRedis()
    const { redis, dedup } = await setUp(server.url)
    expect(await codeOf(dedup.once(newEvent(), () => redis.flushall()))).toBe('CONSUMER_REDIS_AMNESIA')
  })
})

describe('a restart', () => {
  test('by kill -9, ten times under load, loses nothing when all is on disk before it is answered: it goes on by itself', async () => {
    const server = await startRedis()
    const { redis, dedup, another } = await setUp(server.url, { timeoutMs: 20_000 })
    const sent: EventKey[] = []
    let isOver = false
    const effect = { keys: ['stock', 'log'], commands: [['hincrby', 'stock', 'n', 1]] } as const
    const handle = async (one: Bench['dedup']): Promise<void> => {
      for (;;) {
        if (isOver) return
        const event = newEvent()
        sent.push(event)
        await one.onceInRedis(event, {
          ...effect,
          commands: [...effect.commands, ['rpush', 'log', event.id]],
        })
      }
    }
    const workers = [dedup, another().dedup, another().dedup].map(handle)
    for (let kill = 0; kill < 10; kill += 1) {
      const before = sent.length
      while (sent.length < before + 20) await delay(5)
      await server.kill()
      await server.start()
    }
    isOver = true
    await Promise.all(workers)
    // Each of them once more, by a process that starts now.
    const later = another().dedup
    for (const event of sent) expect(await later.onceInRedis(event, effect)).toBe('duplicate')
    expect(await redis.lrange('log', 0, -1)).toHaveLength(sent.length)
    expect(new Set(await redis.lrange('log', 0, -1)).size).toBe(sent.length)
    expect(await redis.hget('stock', 'n')).toBe(String(sent.length))
  }, 60_000)

  test.each([
    ['without persistence', { appendonly: 'no' }, 'missing'],
    ['that writes to disk every second', { appendfsync: 'everysec' }, 'restarted'],
    ['that does not write while it rewrites its file', { 'no-appendfsync-on-rewrite': 'yes' }, 'restarted'],
  ])('of a server %s may have lost marks: nothing is handled before accept()', async (_, settings, loss) => {
    const server = await startRedis(settings)
    const bench = await setUp(server.url)
    expect(await lossOf(bench)).toBe('none')
    await server.stop() // even a clean one: nobody knows how it ended
    await server.start()
    expect(await lossOf(bench)).toBe(loss)
    expect(await lossOf(bench.another())).toBe(loss)
    expect(await bench.dedup.accept()).toBe(loss)
    expect(await lossOf(bench)).toBe('none')
  })

  test('is judged by what the server was before it: one that is made durable afterwards has lost marks, too', async () => {
    const server = await startRedis({ appendfsync: 'everysec' })
    const bench = await setUp(server.url)
    await server.stop()
    await server.start({})
    expect(await lossOf(bench)).toBe('restarted')
    await bench.dedup.accept()
    // And the other way round: durable once, and then not any more.
    await bench.redis.config('SET', 'appendfsync', 'everysec')
    await delay(1_001) // as often as the setting is read
    expect(await lossOf(bench)).toBe('none')
    await server.kill()
    await server.start()
    expect(await lossOf(bench)).toBe('restarted')
  })
})

describe('a replica', () => {
  test('that is promoted without the last marks is noticed, by those who move to it and those who start there', async () => {
    const [primary, standby] = await Promise.all([startRedis(), startRedis()])
    const bench = await setUp(primary.url)
    const replica = connect(standby.url)
    await replica.replicaof('127.0.0.1', primary.port)
    await expect.poll(() => bench.redis.wait(1, 100), { timeout: 10_000 }).toBe(1)

    // Cut off: what is marked now, it never hears of.
    await replica.replicaof('127.0.0.1', 1)
    const lost = newEvent()
    await bench.dedup.once(lost, nothing)
    await replica.replicaof('NO', 'ONE')
    expect(await replica.exists(`{oncebox:${bench.consumer}}:sentinel`)).toBe(1)
    expect(await replica.keys(`*${lost.id}`)).toEqual([])

    moveTo(bench.redis, standby)
    expect(await lossOf(bench)).toBe('promoted')
    const startedThere = bench.another({ redis: connect(standby.url) })
    expect(await lossOf(startedThere)).toBe('promoted')
    expect(await bench.dedup.accept()).toBe('promoted')
    expect(await lossOf(startedThere)).toBe('none')
  })

  test('that comes or goes alarms nobody, although the primary begins a new replication id', async () => {
    const [primary, standby] = await Promise.all([startRedis({ 'repl-backlog-ttl': '1' }), startRedis()])
    const bench = await setUp(primary.url)
    const idOf = async (): Promise<string | undefined> =>
      /master_replid:(\w+)/.exec(await bench.redis.info('replication'))?.[1]
    const ids = [await idOf()]
    const replica = connect(standby.url)
    await replica.replicaof('127.0.0.1', primary.port)
    await expect.poll(() => bench.redis.wait(1, 100), { timeout: 10_000 }).toBe(1)
    ids.push(await idOf())
    expect(await lossOf(bench)).toBe('none')
    await replica.replicaof('NO', 'ONE')
    await expect.poll(idOf, { timeout: 10_000, interval: 200 }).not.toBe(ids[1])
    ids.push(await idOf())
    expect(await lossOf(bench)).toBe('none')
    expect(new Set(ids).size).toBe(3)
  })
})

test('a Redis that was set back to an older state is noticed by whoever saw the newer one, and then by all', async () => {
  const server = await startRedis()
  const bench = await setUp(server.url)
  expect(await lossOf(bench)).toBe('none')
  const files = path.join(server.directory, 'appendonlydir')
  const copy = path.join(server.directory, 'copy')
  await cp(files, copy, { recursive: true })
  const lost = newEvent()
  await bench.dedup.once(lost, nothing)
  await server.kill()
  await rm(files, { recursive: true })
  await cp(copy, files, { recursive: true })
  await server.start()

  expect(await codeOf(bench.dedup.once(lost, mustNotRun))).toBe('CONSUMER_REDIS_AMNESIA')
  expect(await lossOf(bench)).toBe('rewound')
  expect(await lossOf(bench.another())).toBe('rewound')
  expect(await bench.dedup.accept()).toBe('rewound')
  expect(await lossOf(bench)).toBe('none')
})

test('a Redis that may evict is refused from the next event on; one that has evicted has lost its memory', async () => {
  const server = await startRedis()
  const bench = await setUp(server.url)
  for (const policy of ['allkeys-lru', 'volatile-ttl']) {
    await bench.redis.config('SET', 'maxmemory-policy', policy)
    expect(await codeOf(bench.dedup.once(newEvent(), mustNotRun))).toBe('CONSUMER_REDIS_EVICTS')
    expect(await codeOf(bench.dedup.accept())).toBe('CONSUMER_REDIS_EVICTS')
  }
  await bench.redis.config('SET', 'maxmemory-policy', 'noeviction')
  expect(await lossOf(bench)).toBe('none') // nothing was evicted

  await bench.redis.config('SET', 'maxmemory-policy', 'allkeys-random')
  const used = Number(/used_memory:(\d+)/.exec(await bench.redis.info('memory'))?.[1])
  await bench.redis.config('SET', 'maxmemory', String(used + 200_000))
  const evicted = async (): Promise<string | undefined> =>
    /evicted_keys:(\d+)/.exec(await bench.redis.info('stats'))?.[1]
  for (let filler = 0; (await evicted()) === '0'; filler += 1)
    await bench.redis.set(`filler:${filler}`, 'x'.repeat(10_000))
  await bench.redis.config('SET', 'maxmemory', '0')
  await bench.redis.config('SET', 'maxmemory-policy', 'noeviction')
  expect(['evicted', 'missing']).toContain(await lossOf(bench)) // the sentinel itself may have been evicted
  await bench.dedup.accept()
  expect(await lossOf(bench)).toBe('none')
})

test('a full Redis refuses an effect as a whole', async () => {
  const server = await startRedis()
  const { redis, dedup } = await setUp(server.url)
  await redis.config('SET', 'maxmemory', '1')
  const effect = {
    keys: ['a', 'b'],
    commands: [
      ['del', 'a'],
      ['set', 'b', 1],
    ],
  } as const
  const event = newEvent()
  expect(await codeOf(dedup.onceInRedis(event, effect))).toBe('CONSUMER_REDIS_UNAVAILABLE')
  await redis.config('SET', 'maxmemory', '0')
  expect(await dedup.onceInRedis(event, effect)).toBe('handled')
})

test('with a database to ask, a loss stops nobody: what it has is a duplicate, what it has not is handled', async () => {
  const server = await startRedis()
  const database = new Set<string>()
  const asked: string[] = []
  const onAmnesia = ({ id }: EventKey): Promise<'handled' | 'new'> => {
    asked.push(id)
    return Promise.resolve(database.has(id) ? 'handled' : 'new')
  }
  // A client that gives integers as texts: so they are read.
  const asTexts = connect(server.url, { stringNumbers: true })
  const { dedup, another } = await setUp(server.url, { onAmnesia, redis: asTexts })
  const redis = connect(server.url)
  const [before, after, inRedis, fresh] = [newEvent(), newEvent(), newEvent(), newEvent()]
  const effectOf =
    ({ id }: EventKey) =>
    (): Promise<void> => {
      database.add(id)
      return Promise.resolve()
    }
  expect(await dedup.once(before, effectOf(before))).toBe('handled')
  database.add(inRedis.id)
  expect(asked).toEqual([])

  await redis.flushall()
  expect(await dedup.once(before, mustNotRun)).toBe('duplicate')
  expect(await dedup.once(after, effectOf(after))).toBe('handled')
  expect(await dedup.onceInRedis(inRedis, { keys: ['k'], commands: [['incr', 'k']] })).toBe('duplicate')
  expect(await dedup.onceInRedis(fresh, { keys: ['k'], commands: [['incr', 'k']] })).toBe('handled')
  expect(await redis.get('k')).toBe('1')
  expect(asked).toEqual([before.id, after.id, inRedis.id, fresh.id])
  for (const event of [before, after, inRedis, fresh])
    expect(await another().dedup.once(event, mustNotRun)).toBe('duplicate')
  expect(asked).toHaveLength(4) // Redis knows them again
  // Whoever shares the name and cannot ask does not guess.
  expect(await codeOf(another({ onAmnesia: 'stop' }).dedup.once(newEvent(), mustNotRun))).toBe(
    'CONSUMER_REDIS_AMNESIA',
  )
})
