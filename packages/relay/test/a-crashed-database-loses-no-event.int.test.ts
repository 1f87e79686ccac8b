import { expect, test } from 'vitest'
import pg from 'pg'
import { startPrivatePostgres, type PrivatePostgres } from '@internal/stack'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, untilPublished, untilSeen, type Bed } from './bed.js'

// Transaction ids are not logged when they are assigned, so a crash hands them out again. A snapshot kept in memory
// then hides the commits that come after: 50 of 50 were lost, with fsync and synchronous_commit on.

test('ids burnt by rollbacks, one backend killed while the relay idles: the 50 events after it arrive, once', async () => {
  await using server = await startPrivatePostgres()
  await using bed = await setUp({ serverUrl: server.url })
  await using relay = createRelay(bed.options)
  await relay.start()
  await burnTransactionIds(bed, 300)
  await untilSeen('relayIdle', bed.relayName)
  await crashByOneBackend(server, bed)
  await fiftyEventsArriveOnce(bed)
})

test('the whole server killed while the relay idles: the 50 events after it arrive, once', async () => {
  await using server = await startPrivatePostgres()
  await using bed = await setUp({ serverUrl: server.url })
  await using relay = createRelay(bed.options)
  await relay.start()
  await burnTransactionIds(bed, 300)
  await untilSeen('relayIdle', bed.relayName)
  await server.kill('SIGKILL')
  await server.start()
  await fiftyEventsArriveOnce(bed)
})

async function fiftyEventsArriveOnce(bed: Bed): Promise<void> {
  const published = untilPublished(bed.relayName, 50)
  await bed.emit(Array.from({ length: 50 }, (_, n) => `key-${n % 5}`))
  await published
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect(await bed.published()).toHaveLength(50)
}

async function burnTransactionIds(bed: Bed, count: number): Promise<void> {
  const client = await bed.pool.connect()
  for (let n = 0; n < count; n++) {
    await client.query('begin')
    await client.query('select pg_current_xact_id()')
    await client.query('rollback')
  }
  client.release()
}

/** What the OOM killer does: the postmaster then restarts all of it. Resolves when it takes connections again. */
async function crashByOneBackend(server: PrivatePostgres, bed: Bed): Promise<void> {
  const victim = new pg.Client({ connectionString: bed.url })
  const lost = new Promise<void>((resolve) => victim.on('error', () => resolve()))
  await victim.connect()
  const { rows } = await victim.query<{ pid: number }>('select pg_backend_pid() as pid')
  process.kill(rows[0]?.pid ?? 0, 'SIGKILL')
  await lost
  await victim.end().catch(() => undefined)
  // pg_isready by another name: refused while recovery runs.
  for (let attempt = 0; attempt < 200; attempt++) {
    const probe = new pg.Client({ connectionString: server.url, connectionTimeoutMillis: 1_000 })
    probe.on('error', () => undefined)
    try {
      await probe.connect()
      await probe.query('select 1')
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 25))
    } finally {
      await probe.end().catch(() => undefined)
    }
  }
  throw new Error('the server did not come back')
}
