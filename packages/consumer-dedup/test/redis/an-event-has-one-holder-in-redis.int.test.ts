import { once } from 'node:events'
import { randomName, sharedStack, startPrivateRedis } from '@internal/stack'
import { assertDedupWindow, createRedisDedup, type RedisDedup } from '@oncebox/consumer-dedup/redis'
import { delay, OutboxError } from '@oncebox/core'
import { Cluster } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { codeOf, connect, errorOf, gate, hourMs, newEvent, runOnceProcess, setUp } from './fixture.js'

describe('an effect outside of Redis', () => {
  test('runs once for 2 × 50 concurrent deliveries through two clients; the others are told how long to wait', async () => {
    const { dedup, another } = await setUp()
    const other = another().dedup
    const held = gate()
    let runs = 0
    const event = newEvent()
    const effect = async (): Promise<void> => {
      runs += 1
      await held.opened
    }
    const deliveries = Array.from({ length: 100 }, (_, index) =>
      errorOf((index % 2 === 0 ? dedup : other).once(event, effect)),
    )
    const losers = (await Promise.all(deliveries.map((one) => Promise.race([one, delay(2_000)])))).filter(
      (error) => OutboxError.is(error, 'CONSUMER_CLAIM_HELD'),
    )
    held.open()
    expect(losers).toHaveLength(99)
    for (const error of losers) {
      expect(error).toMatchObject({ retriable: true, details: { ...event } })
      expect(Number(Object(error).details.remainingMs)).toBeGreaterThan(5_000)
      expect(Number(Object(error).details.remainingMs)).toBeLessThanOrEqual(10_000)
    }
    expect(await Promise.all(deliveries)).toContain(undefined)
    expect(runs).toBe(1)
    expect(await other.once(event, effect)).toBe('duplicate')
    expect(runs).toBe(1)
  })

  test('that fails gives its claim back at once, and is run again', async () => {
    const { dedup, another } = await setUp()
    const event = newEvent()
    const failure = new Error('no stock')
    expect(await errorOf(dedup.once(event, () => Promise.reject(failure)))).toBe(failure)
    let takenOver: boolean | undefined
    const outcome = another().dedup.once(event, (context) => {
      takenOver = context.takenOver
      return Promise.resolve()
    })
    expect(await outcome).toBe('handled')
    expect(takenOver).toBe(false)
  })

  test('keeps its claim for four leases while it runs, and loses it to nobody', async () => {
    const { dedup, another } = await setUp(undefined, { leaseMs: 400 })
    const other = another().dedup
    const event = newEvent()
    const codes = new Set<string>()
    const outcome = await dedup.once(event, async ({ signal }) => {
      for (let turn = 0; turn < 16; turn += 1) {
        await delay(100, signal)
        codes.add(await codeOf(other.once(event, () => Promise.resolve())))
      }
    })
    expect(outcome).toBe('handled')
    expect([...codes]).toEqual(['CONSUMER_CLAIM_HELD'])
  })

  test('whose process stood still past its lease is taken over; its late finish is refused, typed', async () => {
    const { dedup, redis, another } = await setUp(undefined, { leaseMs: 300, timeoutMs: 500 })
    const other = another({ leaseMs: 5_000 }).dedup
    const event = newEvent()
    const started = gate()
    const cut = gate()
    const late = errorOf(
      dedup.once(event, async ({ signal }) => {
        redis.disconnect() // as a network that is cut: no extension gets through any more
        started.open()
        await once(signal, 'abort')
        await cut.opened
        await redis.connect()
      }),
    )
    await started.opened
    let context: object | undefined
    const holding = gate()
    let takeover: Promise<unknown> = Promise.resolve()
    // Redis says how long the dead claim lasts; after that it is ours.
    const taken = new Promise<void>((resolve) => {
      const effect = async (given: object): Promise<void> => {
        context = given
        resolve()
        await holding.opened
      }
      takeover = other.once(event, effect).catch(async (error: unknown) => {
        if (!OutboxError.is(error, 'CONSUMER_CLAIM_HELD')) throw error
        await delay(Number(error.details['remainingMs']) + 1)
        return await other.once(event, effect)
      })
    })
    await taken
    cut.open()
    expect(await late).toMatchObject({ code: 'CONSUMER_CLAIM_LOST', details: event })
    holding.open()
    expect(await takeover).toBe('handled')
    expect(context).toMatchObject({ takenOver: true, guarantee: 'at-least-once' })
  })

  test('whose lease ran out, but whom nobody took over, is still the owner and may finish', async () => {
    const { dedup, redis, another } = await setUp(undefined, { leaseMs: 100, timeoutMs: 500 })
    const event = newEvent()
    expect(
      await dedup.once(event, async () => {
        redis.disconnect()
        await delay(250)
        await redis.connect()
      }),
    ).toBe('handled')
    expect(await another().dedup.once(event, () => Promise.reject(new Error('ran')))).toBe('duplicate')
  })
})

describe.each(['plain', 'in-redis'] as const)('a process that is killed (%s form)', (form) => {
  const points =
    form === 'plain'
      ? (['redis.claimed', 'redis.effect.done', 'redis.finish.sent'] as const)
      : (['redis.effect.sent'] as const)

  test.each(points)(
    'at %s, four times: every event takes effect, and only where it may, twice',
    async (point) => {
      const { redis, consumer } = await setUp()
      const effects = `{oncebox:${consumer}}:effects`
      const ids = Array.from({ length: 20 }, () => newEvent().id)
      const settings = {
        url: sharedStack().redis.url,
        consumer,
        form,
        leaseMs: 300,
        source: 'orders',
        ids,
        effects,
      }
      for (let kill = 0; kill < 4; kill += 1)
        expect((await runOnceProcess(settings, `${point}@${1 + (kill % 3)}:kill`)).signal).toBe('SIGKILL')
      expect((await runOnceProcess(settings)).signal).toBe(null)

      const log = await redis.lrange(form === 'plain' ? effects : `${effects}:log`, 0, -1)
      expect([...new Set(log)].sort()).toEqual([...ids].sort())
      const doubled = log.length - ids.length
      if (point === 'redis.effect.done')
        expect(doubled).toBe(4) // what a filter cannot prevent, and says
      else if (point === 'redis.finish.sent') expect(doubled).toBeLessThanOrEqual(4)
      else expect(doubled).toBe(0)
      if (form === 'in-redis')
        expect(new Set(Object.values(await redis.hgetall(effects)))).toEqual(new Set(['1']))
    },
  )
})

describe('an effect in the same Redis', () => {
  test('happens once for 100 concurrent deliveries, all of its commands', async () => {
    const { redis, dedup, another } = await setUp()
    const other = another().dedup
    const [hash, list] = [randomName('stock'), randomName('log')]
    const event = newEvent()
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        (index % 2 === 0 ? dedup : other).onceInRedis(event, {
          keys: [hash, list],
          commands: [
            ['hincrby', hash, 'reserved', 2],
            ['rpush', list, event.id, Buffer.from([0, 255])],
          ],
        }),
      ),
    )
    expect(outcomes.filter((outcome) => outcome === 'handled')).toHaveLength(1)
    expect(await redis.hgetall(hash)).toEqual({ reserved: '2' })
    expect(await redis.llen(list)).toBe(2)
    expect((await redis.lindexBuffer(list, 1))?.equals(Buffer.from([0, 255]))).toBe(true)
  })

  test('of which one command fails in the middle leaves no trace: values, types, lives and the mark', async () => {
    const { redis, dedup } = await setUp()
    const [hash, list, counter, absent] = ['hash', 'list', 'counter', 'absent'].map(randomName)
    if (!hash || !list || !counter || !absent) throw new Error('names')
    await redis.hset(hash, 'reserved', 1, 'note', 'text')
    await redis.rpush(list, 'a', 'b')
    await redis.set(counter, 5, 'PX', hourMs)
    const keys = [hash, list, counter, absent] as const
    const before = await Promise.all([
      ...keys.map((key) => redis.dumpBuffer(key)),
      redis.pexpiretime(counter),
    ])
    const event = newEvent()
    const refused = errorOf(
      dedup.onceInRedis(event, {
        keys,
        commands: [
          ['hincrby', hash, 'reserved', 1],
          ['lpop', list],
          ['persist', counter],
          ['incrby', counter, 10],
          ['set', absent, 'x'],
          ['del', list],
          ['hincrby', hash, 'note', 1], // not a number: nobody can know before
        ],
      }),
    )
    expect(await refused).toMatchObject({
      code: 'CONSUMER_REDIS_EFFECT_REFUSED',
      message: expect.stringContaining('hash value is not an integer'),
      details: { command: 7 },
    })
    expect(
      await Promise.all([...keys.map((key) => redis.dumpBuffer(key)), redis.pexpiretime(counter)]),
    ).toEqual(before)
    // Not marked: the corrected effect is taken.
    expect(await dedup.onceInRedis(event, { keys, commands: [['incr', counter]] })).toBe('handled')
    expect(await redis.get(counter)).toBe('6')
  })

  test.each<[string, [string, ...string[]][], RegExp]>([
    ['names a key that is not declared', [['set', 'OTHER', '1']], /not declared: .*OTHER/],
    ['has no key', [['publish', 'channel', 'x']], /no key arguments/],
    ['is unknown', [['sett', 'KEY', '1']], /Invalid command/],
    ['lacks a word', [['set', 'KEY']], /number of arguments/],
    ['acts in another database', [['move', 'KEY', '1']], /outside of its keys/],
  ])('is refused before anything runs when a command %s', async (_, commands, reason) => {
    const { redis, dedup } = await setUp()
    const key = randomName('key')
    const [first, ...rest] = [['set', key, 'touched'] as const, ...commands.map(rename(key))]
    const refused = await errorOf(dedup.onceInRedis(newEvent(), { keys: [key], commands: [first, ...rest] }))
    expect(refused).toMatchObject({ code: 'CONSUMER_REDIS_EFFECT_REFUSED', details: { command: 2 } })
    expect(Object(refused).message).toMatch(reason)
    expect(await redis.exists(key)).toBe(0)
  })

  test('is refused before anything runs when this user may not run a command, or a key is too large to undo', async () => {
    const { redis, consumer, dedup, another } = await setUp(undefined, { effect: { keyBytesMax: 2_000 } })
    const user = randomName('user')
    onTestFinished(async () => void (await connect().call('ACL', 'DELUSER', user)))
    await redis.call('ACL', 'SETUSER', user, 'on', '>secret', '~*', '+@all', '-lpush')
    const limited = createRedisDedup({
      redis: connect(undefined, { username: user, password: 'secret' }),
      consumer,
      retentionMs: hourMs,
      onAmnesia: 'stop',
    })
    const [counter, list] = [randomName('counter'), randomName('list')]
    const effect = {
      keys: [counter, list],
      commands: [
        ['incr', counter],
        ['lpush', list, 'x'],
      ],
    } as const
    const event = newEvent()
    expect(await errorOf(limited.onceInRedis(event, effect))).toMatchObject({
      code: 'CONSUMER_REDIS_EFFECT_REFUSED',
      message: expect.stringContaining('NOPERM'),
    })
    await redis.rpush(list, 'y'.repeat(3_000))
    expect(await errorOf(another().dedup.onceInRedis(event, effect))).toMatchObject({
      code: 'CONSUMER_REDIS_EFFECT_REFUSED',
      message: expect.stringContaining('too many to copy'),
    })
    expect(await redis.exists(counter)).toBe(0)
    expect(await dedup.onceInRedis(event, { keys: [list], commands: [['lpush', list, 'x']] })).toBe('handled')
  })

  test('waits for nobody who claimed the event for the other form, and is told who', async () => {
    const { redis, dedup } = await setUp()
    const key = randomName('key')
    const event = newEvent()
    await dedup.once(event, async () => {
      expect(await codeOf(dedup.onceInRedis(event, { keys: [key], commands: [['incr', key]] }))).toBe(
        'CONSUMER_CLAIM_HELD',
      )
    })
    expect(await dedup.onceInRedis(event, { keys: [key], commands: [['incr', key]] })).toBe('duplicate')
    expect(await redis.exists(key)).toBe(0)
  })
})

test('the documented privileges are enough, and without CONFIG a restart counts as a loss', async () => {
  await using server = await startPrivateRedis()
  const { redis, dedup, consumer } = await setUp(server.url)
  await dedup.once(newEvent(), () => Promise.resolve())
  const keys = [`~{oncebox:${consumer}}:*`, '~stock']
  const ours = '+eval +evalsha +time +info +get +set +del +hmget +hset +hincrby'.split(' ')
  const effects = '+command|getkeys +dump +restore +pexpiretime +memory|usage +incr'.split(' ')
  await redis.acl('SETUSER', 'all', 'on', '>secret', ...keys, ...ours, ...effects, '+config|get')
  await redis.acl('SETUSER', 'less', 'on', '>secret', ...keys, ...ours, ...effects)
  const as = (username: string): RedisDedup =>
    createRedisDedup({
      redis: connect(server.url, { username, password: 'secret', enableReadyCheck: false }),
      consumer,
      retentionMs: hourMs,
      onAmnesia: 'stop',
    })
  const effect = {
    keys: ['stock'],
    commands: [
      ['incr', 'stock'],
      ['incr', 'stock'],
    ],
  } as const
  for (const user of ['all', 'less']) {
    expect(await as(user).once(newEvent(), () => Promise.resolve())).toBe('handled')
    expect(await as(user).onceInRedis(newEvent(), effect)).toBe('handled')
    await expect(as(user).once(newEvent(), () => Promise.reject(new Error('x')))).rejects.toThrow('x')
  }
  // The one without CONFIG has noted that nobody knows.
  expect(await redis.hget(`{oncebox:${consumer}}:sentinel`, 'durable')).toBe('0')
})

test('in a cluster all keys of a store are in one slot, and an effect elsewhere is refused', async () => {
  await using server = await startPrivateRedis({
    settings: { 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' },
  })
  await connect(server.url).call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  const cluster = new Cluster([server.url], { clusterRetryStrategy: () => 50, slotsRefreshTimeout: 2_000 })
  cluster.on('error', () => undefined)
  onTestFinished(() => cluster.disconnect())
  const dedup = createRedisDedup({
    redis: cluster,
    consumer: 'billing',
    hashTag: 'apple',
    retentionMs: hourMs,
    onAmnesia: 'stop',
  })
  await dedup.accept()
  const event = newEvent()
  const effect = { keys: ['stock:{apple}'], commands: [['incr', 'stock:{apple}']] } as const
  expect(await dedup.onceInRedis(event, effect)).toBe('handled')
  expect(await dedup.onceInRedis(event, effect)).toBe('duplicate')
  expect(await dedup.once(newEvent(), () => Promise.resolve())).toBe('handled')
  expect(await cluster.get('stock:{apple}')).toBe('1')
  expect(await codeOf(dedup.onceInRedis(newEvent(), { keys: ['pear'], commands: [['incr', 'pear']] }))).toBe(
    'CONSUMER_REDIS_EFFECT_REFUSED',
  )
})

test('a dedup window that is shorter than the time in which an event may come again is refused', async () => {
  const day = 86_400_000
  expect(() => assertDedupWindow({ retentionMs: 13 * day, topicRetentionMs: 7 * day })).toThrow(OutboxError)
  expect(() => assertDedupWindow({ retentionMs: 14 * day, topicRetentionMs: 7 * day })).not.toThrow()
  expect(() => assertDedupWindow({ retentionMs: 1_000 * day, topicRetentionMs: -1 })).toThrow(/no retention/)
})

const rename =
  (key: string) =>
  (words: readonly string[]): [string, ...string[]] =>
    words.map((word) => (word === 'KEY' ? key : word)) as [string, ...string[]] // as long as before
