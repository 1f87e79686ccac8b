import { createDatabase, sharedStack, startPrivatePgBouncer } from '@internal/stack'
import type { Database, Statement, TransactionOptions } from '@oncebox/core'
import type { PgTransaction } from '@oncebox/outbox'
import { expect, describe, test } from 'vitest'
import { knexAdapter, pgAdapter } from './adapters.js'
import type { DatabaseAdapter } from '@internal/contracts'

const sql = 'select $1::integer * 2 as twice'

function promises<Tx>(adapter: DatabaseAdapter<Tx>): void {
  describe(adapter.name, () => {
    const twice = async (opened: ReturnType<typeof adapter.open>, of: number): Promise<number> =>
      await opened.db.transaction(async (tx) => {
        const { rows } = await opened.db.inside(tx).query<{ twice: number }>(sql, [of], { prepare: true })
        return rows[0]?.twice ?? 0
      })
    const kept = async (opened: ReturnType<typeof adapter.open>): Promise<number> =>
      await opened.db.transaction(async (tx) => {
        const found = await opened.db
          .inside(tx)
          .query('select from pg_prepared_statements where statement = $1', [sql])
        return found.rowCount
      })

    test('a statement is kept by the server process that a client is connected to', async () => {
      await using database = await createDatabase()
      const opened = adapter.open(database.url, 1)
      try {
        expect([await twice(opened, 1), await twice(opened, 2)]).toEqual([2, 4])
        expect(await kept(opened)).toBe(1)
        expect(await twice(opened, 3)).toBe(6)
      } finally {
        await opened.close()
      }
    })

    test('behind a pooler in transaction mode nothing is kept, and every transaction works', async () => {
      await using database = await createDatabase()
      await using bouncer = await startPrivatePgBouncer({
        serverUrl: sharedStack().postgres.url,
        poolSize: 2,
      })
      const opened = adapter.open(bouncer.urlOf(database.url), 5)
      try {
        const given = Array.from({ length: 60 }, (_, of) => of)
        expect(await Promise.all(given.map((of) => twice(opened, of)))).toEqual(given.map((of) => 2 * of))
        expect(await kept(opened)).toBe(0)
      } finally {
        await opened.close()
      }
    })

    test('what somebody made the server forget fails once on its connection, and is sent whole from then on', async () => {
      await using database = await createDatabase()
      const opened = adapter.open(database.url, 1)
      try {
        expect([await twice(opened, 1), await twice(opened, 2)]).toEqual([2, 4])
        await opened.db.outside.query('discard all')
        await expect(twice(opened, 3)).rejects.toMatchObject({ code: '26000' })
        expect([await twice(opened, 4), await twice(opened, 5)]).toEqual([8, 10])
      } finally {
        await opened.close()
      }
    })
  })
}

promises(pgAdapter)
promises(knexAdapter)

describe('an opening statement', () => {
  const echo = 'select $1::text as text, $2::timestamptz as at, $3::bigint as number'
  interface Echoed {
    readonly text: string | null
    readonly at: Date
    readonly number: string
  }
  const at = new Date('2026-02-03T04:05:06.789Z')
  const inplace = `/* kept */ ${echo}`

  /** What it answered, and whether it was sent with BEGIN. */
  async function opened<Tx>(
    db: Database<Tx>,
    opening: Statement,
    isolation?: TransactionOptions['isolation'],
  ): Promise<{ readonly row: object | undefined; readonly wasSent: boolean; readonly isolation: string }> {
    return await db.transaction(
      async (tx, answer) => {
        const connection = db.inside(tx)
        const { rows } = answer ?? (await connection.query<object>(opening.sql, opening.parameters, opening))
        const found = await connection.query<{ level: string }>(
          `select current_setting('transaction_isolation') as level`,
        )
        return { row: rows[0], wasSent: answer !== undefined, isolation: found.rows[0]?.level ?? '' }
      },
      { opening, isolation },
    )
  }

  async function onOneConnection(work: (db: Database<PgTransaction>) => Promise<void>): Promise<void> {
    await using database = await createDatabase()
    const under = pgAdapter.open(database.url, 1)
    try {
      await work(under.db)
      expect(under.allReturned()).toBe(true)
    } finally {
      await under.close()
    }
  }

  test('goes out with BEGIN once the server keeps it, and is left to work until then', async () => {
    await onOneConnection(async (db) => {
      const found = []
      for (let round = 0; round < 4; round += 1)
        found.push(await opened(db, { sql: echo, parameters: ['a', at, 7], prepare: true }))
      expect(found.map(({ wasSent }) => wasSent)).toEqual([false, false, true, true])
      for (const { row } of found) expect(row).toEqual({ text: 'a', at, number: '7' })
    })
  })

  test('may be another text where the server keeps it', async () => {
    await onOneConnection(async (db) => {
      const opening = { sql: echo, parameters: ['a', at, 7n], prepare: inplace }
      for (let round = 0; round < 3; round += 1) await opened(db, opening)
      const kept = await db.outside.query('select from pg_prepared_statements where statement = $1', [
        inplace,
      ])
      const other = await db.outside.query('select from pg_prepared_statements where statement = $1', [echo])
      expect([kept.rowCount, other.rowCount]).toEqual([1, 0])
    })
  })

  test('has the values and the isolation that were asked for, whatever is in them', async () => {
    await onOneConnection(async (db) => {
      const texts = ['', `it's`, `'; rollback; --`, '\\', `\\'`, '$1', 'Grüße \u{1F600}', '\n\t"', null]
      const prepared = { sql: echo, prepare: true }
      for (let round = 0; round < 2; round += 1) await opened(db, { ...prepared, parameters: ['', at, 1] })
      for (const text of texts) {
        const found = await opened(
          db,
          { ...prepared, parameters: [text, at, -(2n ** 63n)] },
          'repeatable read',
        )
        const row: Echoed = { text, at, number: '-9223372036854775808' }
        expect(found).toEqual({ row, wasSent: true, isolation: 'repeatable read' })
      }
      expect(await opened(db, { ...prepared, parameters: [[1], at, 1] })).toMatchObject({ wasSent: false })
      await expect(opened(db, { ...prepared, parameters: ['a\u0000b', at, 1] })).rejects.toMatchObject({
        code: '22021',
      })
    })
  })

  test('that fails leaves no transaction behind on its connection', async () => {
    await onOneConnection(async (db) => {
      const divide = { sql: 'select 6 / $1::integer as quotient', prepare: true }
      for (let round = 0; round < 2; round += 1) await opened(db, { ...divide, parameters: [2] })
      const process = async (): Promise<unknown> =>
        (await db.outside.query('select pg_backend_pid() as process')).rows[0]
      const before = await process()
      let isCalled = false
      const failing = db.transaction(() => Promise.resolve((isCalled = true)), {
        opening: { ...divide, parameters: [0] },
      })
      await expect(failing).rejects.toMatchObject({ code: '22012' })
      expect(isCalled).toBe(false)
      expect(await opened(db, { ...divide, parameters: [3] })).toMatchObject({
        row: { quotient: 2 },
        wasSent: true,
      })
      expect(await process()).toEqual(before)
    })
  })

  test('that the server was made to forget fails once on its connection, and is left to work from then on', async () => {
    await onOneConnection(async (db) => {
      const opening = { sql: echo, parameters: ['a', at, 7], prepare: true }
      for (let round = 0; round < 3; round += 1) await opened(db, opening)
      await db.outside.query('discard all')
      await expect(opened(db, opening)).rejects.toMatchObject({ code: '26000' })
      expect(await opened(db, opening)).toMatchObject({ row: { text: 'a' }, wasSent: false })
    })
  })
})
