import { createDatabase, sharedStack, startPrivatePgBouncer } from '@internal/stack'
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
