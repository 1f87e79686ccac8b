import { startPrivatePostgres } from '@internal/stack'
import { expect, test } from 'vitest'
import { compare, createInboxDatabase, createOrders, effects, events, happens, publish } from './fixture.js'
import { effectConsumer, openPool, storedPosition } from './positions.js'

test(
  'a live consumer handles again what an asynchronous commit lost in a crash of the server',
  { timeout: 180_000 },
  async () => {
    // Commits reach the disk up to ten seconds late: effects 50 to 79 are gone after the crash, for certain.
    await using server = await startPrivatePostgres({
      settings: { synchronous_commit: 'off', wal_writer_delay: '10000ms', restart_after_crash: 'on' },
    })
    await using database = await createInboxDatabase(server.url)
    const pool = openPool(database.url)
    const orders = await createOrders()
    const consumer = effectConsumer(orders, pool)
    const sent = events(100)

    const eighty = happens('consumerHandled', consumer.name, { count: 80 })
    await consumer.start()
    await publish(orders, sent.slice(0, 50))
    await expect.poll(() => storedPosition(pool, consumer.name), { timeout: 30_000, interval: 20 }).toBe('50')
    const flush = await pool.connect()
    await flush.query('set synchronous_commit = on')
    await flush.query('create table flushed ()')
    await publish(orders, sent.slice(50, 80))
    await eighty
    expect(await effects(pool)).toHaveLength(80)

    // What the out-of-memory killer does: one backend dies, the server restarts all of them.
    const { rows } = await flush.query<{ pid: number }>('select pg_backend_pid() as pid')
    const ended = new Promise((resolve) => flush.once('error', resolve))
    process.kill(rows[0]?.pid ?? 0, 'SIGKILL')
    await ended
    flush.release(true)
    await publish(orders, sent.slice(80))
    await expect
      .poll(
        () =>
          effects(pool).then(
            (found) => found.length,
            () => 0,
          ),
        { timeout: 60_000, interval: 100 },
      )
      .toBeGreaterThanOrEqual(100)
    await consumer.stop()

    expect(compare(sent, await effects(pool))).toEqual({ lost: 0, doubled: 0 })
    expect(consumer.counts.handled).toBeGreaterThan(100) // some were lost, and made again
    await pool.end()
  },
)
