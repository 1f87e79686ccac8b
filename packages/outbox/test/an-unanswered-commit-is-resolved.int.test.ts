import {
  startCommitProxy,
  type CommitProxy,
  type DatabaseAdapter,
  type DatabaseUnderTest,
} from '@internal/contracts'
import { startPrivatePostgres, type TestDatabase } from '@internal/stack'
import { channels, type SqlConnection } from '@oncebox/core'
import { fromPg, migrateOutbox } from '@oncebox/outbox'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { resolveCommit } from '../dist/resolve-commit.js'
import { knexAdapter, pgAdapter } from './adapters.js'
import { createOutboxDatabase, outbox, placed, storedEvents } from './fixture.js'

let database: TestDatabase
let judge: pg.Pool
beforeAll(async () => {
  database = await createOutboxDatabase()
  judge = new pg.Pool({ connectionString: database.url, max: 2 })
})
afterAll(async () => {
  await judge.end()
  await database.drop()
})
beforeEach(async () => {
  await judge.query('truncate orders, outbox.events')
})

function describeAdapter<Tx>(adapter: DatabaseAdapter<Tx>): void {
  describe(adapter.name, () => {
    let proxy: CommitProxy
    let under: DatabaseUnderTest<Tx>
    beforeEach(async () => {
      proxy = await startCommitProxy(database.url)
      under = adapter.open(proxy.url, 1)
    })
    afterEach(async () => {
      await under.close()
      await proxy[Symbol.asyncDispose]()
    })

    const place = (id: string): Promise<string> =>
      outbox.transaction(under.db, async (tx, emit) => {
        await under.run(tx, `insert into orders (id) values ('${id}')`)
        return emit('order.placed', placed(id))
      })
    const stored = async (): Promise<number[]> => [
      (await storedEvents(judge)).length,
      (await judge.query('select from orders')).rowCount ?? 0,
    ]

    test('a commit that happened is a success, and is published once', async () => {
      const committed: unknown[] = []
      const listener = (event: unknown): void => void committed.push(event)
      channels.outboxCommitted.subscribe(listener)
      proxy.cutNextCommit('before-answer')
      const id = await place('o-1')
      channels.outboxCommitted.unsubscribe(listener)
      expect(await storedEvents(judge)).toMatchObject([{ id }])
      expect(committed).toEqual([{ source: 'order-service', events: 1 }])
      expect(proxy.cuts).toBe(1)
    })

    test('a commit that did not happen is OUTBOX_COMMIT_LOST, and can be tried again', async () => {
      proxy.cutNextCommit('before-forwarding')
      await expect(place('o-1')).rejects.toMatchObject({ code: 'OUTBOX_COMMIT_LOST', retriable: true })
      expect(await stored()).toEqual([0, 0])
      await place('o-1')
      expect(await stored()).toEqual([1, 1])
    })

    test('a transaction that is still in progress is waited for', async () => {
      proxy.cutNextCommit('server-kept')
      let settled = false
      const attempt = place('o-1').finally(() => (settled = true))
      attempt.catch(() => undefined)
      await expect.poll(() => proxy.cuts, { timeout: 10_000 }).toBe(1)
      expect(await inProgress()).toBe(1)
      expect(settled).toBe(false)
      proxy.letGo()
      await expect(attempt).rejects.toMatchObject({ code: 'OUTBOX_COMMIT_LOST' })
      expect(await stored()).toEqual([0, 0])
    })
  })
}

const inProgress = async (): Promise<number> =>
  (
    await judge.query(
      `select from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
    )
  ).rowCount ?? 0

describeAdapter(pgAdapter)
describeAdapter(knexAdapter)

describe('what the database says', () => {
  let connection: SqlConnection
  beforeAll(() => {
    connection = fromPg(judge).outside
  })
  const assignedTxid = async (end: 'commit' | 'rollback'): Promise<string> => {
    const client = await judge.connect()
    await client.query('begin')
    const { rows } = await client.query<{ txid: string }>('select pg_current_xact_id()::text as txid')
    await client.query(end)
    client.release()
    return rows[0]?.txid ?? ''
  }

  test('an aborted transaction is rolled back', async () => {
    expect(await resolveCommit(connection, await assignedTxid('rollback'), randomUUID())).toBe('rolled-back')
  })

  test("'committed' without the row is unknown: after a crash the id may be another transaction's", async () => {
    expect(await resolveCommit(connection, await assignedTxid('commit'), randomUUID())).toBe('unknown')
  })

  test('an id that the server has not come to is rolled back: it was assigned before a crash', async () => {
    const ahead = BigInt(await assignedTxid('commit')) + 1_000_000n
    expect(await resolveCommit(connection, String(ahead), randomUUID())).toBe('rolled-back')
  })

  test('a database that cannot be asked is unknown, within the bound', async () => {
    const silent: SqlConnection = { query: () => new Promise(() => undefined) }
    const begun = Date.now()
    expect(await resolveCommit(silent, '1', randomUUID())).toBe('unknown')
    expect(Date.now() - begun).toBeLessThan(12_000)
  })
})

test('a server that crashes around COMMIT leaves either both or nothing, and the caller is told which', async () => {
  await using server = await startPrivatePostgres()
  await migrateOutbox(server.url)
  const pool = new pg.Pool({ connectionString: server.url, max: 4 })
  pool.on('error', () => undefined)
  await pool.query('create table orders (id text primary key)')
  const db = fromPg(pool)
  const outcomes = new Map<string, 'committed' | 'lost' | 'unknown'>()
  const crash = new AbortController()
  const writer = async (name: number): Promise<void> => {
    for (let n = 0; !crash.signal.aborted; n += 1) {
      const id = `${name}-${n}`
      await outbox
        .transaction(db, async (tx, emit) => {
          await tx.query('insert into orders (id) values ($1)', [id])
          emit('order.placed', placed(id))
        })
        .then(
          () => outcomes.set(id, 'committed'),
          (error: { code?: string }) =>
            outcomes.set(id, error.code === 'OUTBOX_COMMIT_UNKNOWN' ? 'unknown' : 'lost'),
        )
    }
  }
  const writers = [1, 2, 3, 4].map(writer)
  await expect.poll(() => outcomes.size, { timeout: 30_000 }).toBeGreaterThan(100)
  await server.kill('SIGKILL')
  crash.abort()
  await server.start()
  await Promise.all(writers)
  const { rows } = await pool.query<{ id: string; key: string | null }>(
    'select coalesce(orders.id, key) as id, key from orders full join outbox.events on key = orders.id',
  )
  const there = new Set(rows.map((row) => row.id))
  expect(rows.every((row) => row.key === row.id)).toBe(true)
  for (const [id, outcome] of outcomes) {
    if (outcome !== 'unknown') expect(`${id} ${there.has(id)}`).toBe(`${id} ${outcome === 'committed'}`)
  }
  await pool.end()
})
