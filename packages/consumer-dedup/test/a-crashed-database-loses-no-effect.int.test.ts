import { startPrivatePostgres } from '@internal/stack'
import { installFaultHandler } from '@oncebox/core'
import type pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import {
  compare,
  createInboxDatabase,
  createOrders,
  effects,
  eventually,
  events,
  publish,
} from './fixture.js'
import { effectConsumer, openPool, storedPosition } from './positions.js'

afterEach(() => installFaultHandler(undefined))

// Held in mid-batch, the next dedup mark has to tell; held behind the last event, only the position's own statement can.
test.each([
  ['in the middle of a batch', 30],
  ['between the last event of a batch and its position', 50],
] as const)(
  'a live consumer, %s, handles again what an asynchronous commit lost in a crash of the server',
  { timeout: 180_000 },
  async (_where, count) => {
    await using server = await startPrivatePostgres({
      settings: { synchronous_commit: 'off', restart_after_crash: 'on' },
    })
    await using database = await createInboxDatabase(server.url)
    const pool = openPool(database.url)
    const orders = await createOrders()
    // No position is written on the way: the hold is longer than the default interval.
    const consumer = effectConsumer(orders, pool, { position: { intervalMs: 60_000 } })
    const sent = events(100)

    await consumer.start()
    await publish(orders, sent.slice(0, 50))
    await eventually(async () => (await storedPosition(pool, consumer.name)) === '50')
    const flush = await pool.connect()
    await flush.query('set synchronous_commit = on')
    await flush.query('create table flushed ()')
    // From here on nobody writes asynchronous commits to disk: effects from 50 on will be gone, for certain.
    process.kill(await pidOf(pool, 'walwriter'), 'SIGSTOP')

    // Held between two transactions: no connection in use breaks, and the stored position is still 50, so
    // neither an error nor the compare and set would tell. Only the life token does.
    const held = holdAfterCommit(count)
    await publish(orders, sent.slice(50))
    await held.reached
    expect(await effects(pool)).toHaveLength(50 + count)

    // What the out-of-memory killer does: one backend dies, the server restarts all of them.
    const { rows } = await flush.query<{ pid: number }>('select pg_backend_pid() as pid')
    const ended = new Promise((resolve) => flush.once('error', resolve))
    process.kill(rows[0]?.pid ?? 0, 'SIGKILL')
    await ended
    flush.release(true)
    // Backends live on for a moment; the token is gone when the server has recovered.
    await eventually(() =>
      pool.query('select from inbox.life').then(
        ({ rowCount }) => rowCount === 0,
        () => false,
      ),
    )
    const kept = await effects(pool)
    expect(compare(sent.slice(0, 50 + count), kept).lost).toBeGreaterThan(0)
    held.release()
    await eventually(async () => (await effects(pool)).length >= 100)
    await consumer.stop()

    const found = await effects(pool)
    expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
    expect(found.map(({ value }) => value)).toEqual(sent.map(({ value }) => value)) // nothing overtook what was lost
    await pool.end()
  },
)

test('a position that a crash of the server has lost, as its commit is not waited for, is an older one: no effect is lost or doubled', async () => {
  await using server = await startPrivatePostgres({ settings: { restart_after_crash: 'on' } })
  await using database = await createInboxDatabase(server.url)
  const pool = openPool(database.url)
  const orders = await createOrders()
  const consumer = effectConsumer(orders, pool)
  const sent = events(20)
  await consumer.start()
  const killed = await pool.connect()
  const { rows } = await killed.query<{ pid: number }>('select pg_backend_pid() as pid')
  // From here on only a commit that is waited for writes to disk: that of the last effect, not that of the position behind it.
  process.kill(await pidOf(pool, 'walwriter'), 'SIGSTOP')
  await publish(orders, sent.slice(0, 10))
  await eventually(async () => (await storedPosition(pool, consumer.name)) === '10')

  const ended = new Promise((resolve) => killed.once('error', resolve))
  process.kill(rows[0]?.pid ?? 0, 'SIGKILL')
  await ended
  killed.release(true)
  await eventually(() =>
    storedPosition(pool, consumer.name).then(
      (position) => position === '0',
      () => false,
    ),
  )
  await publish(orders, sent.slice(10))
  await eventually(async () => (await storedPosition(pool, consumer.name).catch(() => '')) === '20')
  await consumer.stop()
  expect(consumer.counts.handled).toBe(20)
  expect(consumer.counts.duplicates).toBeGreaterThanOrEqual(10)
  expect(compare(sent, await effects(pool))).toEqual({ lost: 0, doubled: 0 })
  await pool.end()
})

async function pidOf(pool: pg.Pool, backendType: string): Promise<number> {
  const { rows } = await pool.query<{ pid: number }>(
    'select pid from pg_stat_activity where backend_type = $1',
    [backendType],
  )
  const pid = rows[0]?.pid
  if (pid === undefined) throw new Error(`the server has no ${backendType}`)
  return pid
}

/** Holds the consumer when the `count`-th effect from now is committed. */
function holdAfterCommit(count: number): { readonly reached: Promise<void>; release(): void } {
  let release: () => void = () => undefined
  const released = new Promise<void>((resolve) => (release = resolve))
  const reached = new Promise<void>((resolve) => {
    let hits = 0
    installFaultHandler((point) => {
      if (point !== 'consumer.commit.acked' || (hits += 1) !== count) return
      resolve()
      return released
    })
  })
  return { reached, release: () => release() }
}
