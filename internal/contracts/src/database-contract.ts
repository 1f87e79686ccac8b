/** What `Database<Tx>` promises, on a real PostgreSQL, whatever the driver. */
import { createDatabase, type TestDatabase } from '@internal/stack'
import type { Database } from '@oncebox/core'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startCommitProxy, type CommitProxy } from './commit-proxy.js'

export interface DatabaseAdapter<Tx> {
  readonly name: string
  /** @param connectionsMax The size of its pool. */
  open(url: string, connectionsMax: number): DatabaseUnderTest<Tx>
}

export interface DatabaseUnderTest<Tx> {
  readonly db: Database<Tx>
  /** Handles of this driver that are no transaction in progress: pools, root instances, clients that have not begun. */
  readonly notTransactions: () => Promise<readonly { readonly name: string; readonly handle: unknown }[]>
  /** One statement, as users of this driver write it. */
  run(tx: Tx, sql: string): Promise<unknown>
  /** Runs `work` under a savepoint, which is rolled back when `work` throws; that error passes. */
  savepoint(tx: Tx, work: (inner: Tx) => Promise<void>): Promise<void>
  /** A transaction begun, and committed, by the driver's own means. */
  ownTransaction<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result>
  /** Whether the pool has every connection back. */
  allReturned(): boolean
  close(): Promise<void>
}

const connectionsMax = 3
const oops = new Error('oops')
const sleeping = `select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`
const throwOops = (): never => {
  throw oops
}

/** Declares the tests. Call it at the top of an `*.int.test.ts`. */
export function databaseContract<Tx>(adapter: DatabaseAdapter<Tx>): void {
  describe(`Database contract: ${adapter.name}`, () => {
    let database: TestDatabase
    let judge: pg.Pool
    let under: DatabaseUnderTest<Tx>
    let db: Database<Tx>

    beforeAll(async () => {
      database = await createDatabase()
      judge = new pg.Pool({ connectionString: database.url, max: 2 })
      await judge.query(
        'create table items (id integer primary key deferrable initially deferred, txid xid8 default pg_current_xact_id())',
      )
    })
    afterAll(async () => {
      await judge.end()
      await database.drop()
    })
    beforeEach(async () => {
      await judge.query('truncate items')
      under = adapter.open(database.url, connectionsMax)
      db = under.db
    })
    afterEach(async () => {
      expect(under.allReturned()).toBe(true)
      await under.close()
    })

    const items = async (): Promise<number[]> =>
      (await judge.query<{ id: number }>('select id from items order by id')).rows.map((row) => row.id)
    const insert = (tx: Tx, id: number): Promise<unknown> =>
      under.run(tx, `insert into items (id) values (${id})`)
    const fail = (tx: Tx): Promise<unknown> => under.run(tx, 'select 1 / 0')

    describe('transaction', () => {
      test('commits and hands out the result of work', async () => {
        expect(await db.transaction(async (tx) => (await insert(tx, 1), 'done'))).toBe('done')
        expect(await items()).toEqual([1])
      })

      test('rolls back when work throws, and passes the error on as it is', async () => {
        await expect(db.transaction(async (tx) => (await insert(tx, 1), throwOops()))).rejects.toBe(oops)
        expect(await items()).toEqual([])
      })

      test('runs beforeCommit after work and in the same transaction', async () => {
        await db.transaction((tx) => insert(tx, 1), {
          beforeCommit: async (connection) => {
            const { rows } = await connection.query<{ same: boolean }>(
              'select txid = pg_current_xact_id() as same from items',
            )
            expect(rows).toEqual([{ same: true }])
            await connection.query('insert into items (id) values ($1)', [2])
          },
        })
        expect(await items()).toEqual([1, 2])
      })

      test('rolls back when beforeCommit throws', async () => {
        await expect(
          db.transaction((tx) => insert(tx, 1), { beforeCommit: async () => throwOops() }),
        ).rejects.toBe(oops)
        expect(await items()).toEqual([])
      })

      test('refuses to commit when work has swallowed the error of a statement', async () => {
        let reached = false
        const attempt = db.transaction(
          async (tx) => (await insert(tx, 1), await fail(tx).catch(() => undefined)),
          {
            beforeCommit: async () => void (reached = true),
          },
        )
        await expect(attempt).rejects.toMatchObject({ code: 'OUTBOX_TRANSACTION_FAILED' })
        expect(reached).toBe(false)
        expect(await items()).toEqual([])
      })

      test('refuses to commit when a statement that work did not await has failed', async () => {
        const attempt = db.transaction(async (tx) => {
          await insert(tx, 1)
          fail(tx).catch(() => undefined)
          await Promise.resolve()
        })
        await expect(attempt).rejects.toMatchObject({
          code: expect.stringMatching(/^OUTBOX_(TRANSACTION_FAILED|COMMIT_ROLLED_BACK)$/),
        })
        expect(await items()).toEqual([])
      })

      test('reports a COMMIT that was answered with ROLLBACK', async () => {
        const attempt = db.transaction((tx) => insert(tx, 1), {
          beforeCommit: async (connection) =>
            void (await connection.query('select 1 / 0').catch(() => undefined)),
        })
        await expect(attempt).rejects.toMatchObject({ code: 'OUTBOX_COMMIT_ROLLED_BACK' })
        expect(await items()).toEqual([])
      })

      test('reports work that has ended the transaction itself', async () => {
        const attempt = db.transaction(async (tx) => (await insert(tx, 1), await under.run(tx, 'rollback')))
        await expect(attempt).rejects.toMatchObject({ code: 'OUTBOX_TRANSACTION_ENDED' })
        expect(await items()).toEqual([])
      })

      test('passes the error of a constraint that fails at COMMIT, and does not take it for a lost connection', async () => {
        let asked = false
        const attempt = db.transaction(async (tx) => (await insert(tx, 1), await insert(tx, 1)), {
          resolveCommit: async () => ((asked = true), 'committed'),
        })
        await expect(attempt).rejects.toMatchObject({ code: '23505' })
        expect(asked).toBe(false)
        expect(await items()).toEqual([])
      })

      test.each(['read committed', 'repeatable read', 'serializable'] as const)(
        'runs at isolation level %s',
        async (isolation) => {
          const level = await db.transaction(
            async (tx) =>
              (
                await db
                  .inside(tx)
                  .query<{ level: string }>(`select current_setting('transaction_isolation') as level`)
              ).rows,
            { isolation },
          )
          expect(level).toEqual([{ level: isolation }])
        },
      )

      test('keeps what was done outside a savepoint that was rolled back', async () => {
        await db.transaction(async (tx) => {
          await insert(tx, 1)
          const attempt = under.savepoint(tx, async (inner) => {
            await insert(inner, 2)
            await fail(inner)
          })
          await expect(attempt).rejects.toThrow('division by zero')
          await insert(tx, 3)
        })
        expect(await items()).toEqual([1, 3])
      })

      test('runs more transactions at a time than the pool has connections', async () => {
        await Promise.all(
          Array.from({ length: connectionsMax * 4 }, (_, id) => db.transaction((tx) => insert(tx, id))),
        )
        expect(await items()).toHaveLength(connectionsMax * 4)
      })
    })

    describe('inside', () => {
      test('runs SQL in a transaction that the driver has begun', async () => {
        const rolledBack = under.ownTransaction(async (tx) => {
          await db.inside(tx).query('insert into items (id) values ($1)', [1])
          throwOops()
        })
        await expect(rolledBack).rejects.toBe(oops)
        await under.ownTransaction((tx) => db.inside(tx).query('insert into items (id) values ($1)', [2]))
        expect(await items()).toEqual([2])
      })

      test('refuses every handle that is no transaction in progress', async () => {
        const handles = [
          ...(await under.notTransactions()),
          { name: 'null', handle: null },
          { name: 'an object', handle: {} },
        ]
        for (const { name, handle } of handles) {
          // A handle of the wrong type is the test.
          expect(() => db.inside(handle as Tx), name).toThrow(
            expect.objectContaining({ code: 'OUTBOX_NOT_IN_TRANSACTION' }),
          )
        }
      })

      test('refuses a transaction that is over', async () => {
        const over = await db.transaction(async (tx) => tx)
        expect(() => db.inside(over)).toThrow(
          expect.objectContaining({
            code: expect.stringMatching(/^OUTBOX_(NOT_IN_TRANSACTION|TRANSACTION_ENDED)$/),
          }),
        )
        const later = await db.transaction(async (tx) => db.inside(tx))
        await expect(later.query('insert into items (id) values (1)')).rejects.toMatchObject({
          code: expect.stringMatching(/^OUTBOX_(NOT_IN_TRANSACTION|TRANSACTION_ENDED)$/),
        })
        expect(await items()).toEqual([])
      })

      test('refuses a failed transaction until its savepoint is rolled back', async () => {
        await db.transaction(async (tx) => {
          const attempt = under.savepoint(tx, async (inner) => {
            await fail(inner).catch(() => undefined)
            await db.inside(inner).query('insert into items (id) values (1)')
          })
          await expect(attempt).rejects.toMatchObject({ code: 'OUTBOX_TRANSACTION_FAILED' })
          await db.inside(tx).query('insert into items (id) values (2)')
        })
        expect(await items()).toEqual([2])
      })

      test('never runs behind a COMMIT that was sent and not awaited', async () => {
        await db
          .transaction(async (tx) => {
            const connection = db.inside(tx)
            const { rows } = await connection.query<{ txid: string }>(
              'select pg_current_xact_id()::text as txid',
            )
            const committing = under.run(tx, 'commit')
            const inserted = connection
              .query<{ txid: string }>('insert into items (id) values (1) returning txid::text as txid')
              .then(
                (result) => result.rows,
                (error: unknown) => (
                  expect(error).toMatchObject({ code: 'OUTBOX_NOT_IN_TRANSACTION' }),
                  undefined
                ),
              )
            await committing
            expect([undefined, rows]).toContainEqual(await inserted)
          })
          .catch((error: unknown) => expect(error).toMatchObject({ code: 'OUTBOX_TRANSACTION_ENDED' }))
      })

      test('runs statements side by side in the order in which they were sent', async () => {
        await db.transaction(async (tx) => {
          const connection = db.inside(tx)
          await Promise.all(
            [1, 2, 3, 4, 5].map((id) => connection.query('insert into items (id) values ($1)', [id])),
          )
        })
        expect(await items()).toEqual([1, 2, 3, 4, 5])
      })

      test('takes $1 and a literal question mark as they are', async () => {
        const sql = `select '{"a": "$2"}'::jsonb ? $1 as there, '?' as mark`
        await db.transaction(async (tx) => {
          expect((await db.inside(tx).query(sql, ['a'])).rows).toEqual([{ there: true, mark: '?' }])
        })
        expect((await db.outside.query(sql, ['b'])).rows).toEqual([{ there: false, mark: '?' }])
      })

      test('counts rows, and takes several statements when there are no parameters', async () => {
        await db.transaction(async (tx) => {
          const result = await db
            .inside(tx)
            .query('insert into items (id) values (1); insert into items (id) values (2), (3)')
          expect(result).toMatchObject({ rows: [], rowCount: 2 })
        })
        expect((await db.outside.query('select from items')).rowCount).toBe(3)
      })
    })

    describe('a lost connection', () => {
      const backend = async (tx: Tx): Promise<number> =>
        (await db.inside(tx).query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0
      const terminate = async (pid: number): Promise<void> => {
        await judge.query('select pg_terminate_backend($1, 5000)', [pid])
      }

      test('before COMMIT rolls back, and the pool goes on without that connection', async () => {
        const attempt = db.transaction(async (tx) => {
          await insert(tx, 1)
          await terminate(await backend(tx))
          await insert(tx, 2)
        })
        await expect(attempt).rejects.toThrow()
        await Promise.all(
          Array.from({ length: connectionsMax }, (_, id) => db.transaction((tx) => insert(tx, 10 + id))),
        )
        expect(await items()).toEqual([10, 11, 12])
      })

      test('that work does not notice is not taken for a success', async () => {
        const attempt = db.transaction(
          async (tx) => (await insert(tx, 1), await terminate(await backend(tx))),
          {
            resolveCommit: async () => 'rolled-back',
          },
        )
        await expect(attempt).rejects.toMatchObject({ code: 'OUTBOX_COMMIT_LOST' })
        expect(await items()).toEqual([])
      })

      test('is made of one on which ROLLBACK is not answered, so that the pool does not hand it out again', async () => {
        const one = adapter.open(database.url, 1)
        const attempt = one.db.transaction(async (tx) => {
          await insert(tx, 1)
          one.run(tx, 'select pg_sleep(100)').catch(() => undefined)
          await expect.poll(async () => (await judge.query(sleeping)).rowCount).toBe(1)
          throwOops()
        })
        await expect(attempt).rejects.toBe(oops)
        const begun = performance.now()
        await one.db.outside.query('select 1')
        expect(performance.now() - begun).toBeLessThan(20_000)
        expect(await items()).toEqual([])
        await judge.query(`select pg_terminate_backend(pid, 5000) from (${sleeping}) as sleeper`) // it holds locks
        await one.close()
      }, 30_000)

      describe('at COMMIT', () => {
        let proxy: CommitProxy
        let one: DatabaseUnderTest<Tx>
        beforeEach(async () => {
          proxy = await startCommitProxy(database.url)
          one = adapter.open(proxy.url, 1) // the connection that asks must not be a second one
        })
        afterEach(async () => {
          await one.db.outside.query('select 1')
          expect(one.allReturned()).toBe(true)
          await one.close()
          await proxy[Symbol.asyncDispose]()
        })

        test('is a success when the transaction is found to be committed', async () => {
          proxy.cutNextCommit('before-answer')
          const result = await one.db.transaction(async (tx) => (await insert(tx, 1), 'done'), {
            resolveCommit: async (connection) =>
              (await connection.query('select from items')).rowCount === 1 ? 'committed' : 'unknown',
          })
          expect(result).toBe('done')
          expect(proxy.cuts).toBe(1)
        })

        test('is OUTBOX_COMMIT_LOST when the transaction is found to be rolled back', async () => {
          proxy.cutNextCommit('before-forwarding')
          const attempt = one.db.transaction((tx) => insert(tx, 1), {
            resolveCommit: async () => 'rolled-back',
          })
          await expect(attempt).rejects.toMatchObject({
            code: 'OUTBOX_COMMIT_LOST',
            cause: expect.any(Error),
          })
          expect(await items()).toEqual([])
        })

        test('is OUTBOX_COMMIT_UNKNOWN when nobody can tell', async () => {
          const resolvers = [undefined, async () => 'unknown' as const, async () => throwOops()]
          for (const [id, resolveCommit] of resolvers.entries()) {
            proxy.cutNextCommit('before-answer')
            const attempt = one.db.transaction(
              (tx) => insert(tx, id),
              resolveCommit === undefined ? {} : { resolveCommit },
            )
            await expect(attempt).rejects.toMatchObject({
              code: 'OUTBOX_COMMIT_UNKNOWN',
              cause: expect.any(Error),
            })
          }
          expect(await items()).toEqual([0, 1, 2])
        })

        test('is awaited by commitSent before the answer is read', async () => {
          const order: string[] = []
          await one.db.transaction(async (tx) => (await insert(tx, 1), void order.push('work')), {
            beforeCommit: async () => void order.push('beforeCommit'),
            commitSent: () => void order.push('commitSent'),
          })
          expect(order).toEqual(['work', 'beforeCommit', 'commitSent'])
        })
      })
    })
  })
}
