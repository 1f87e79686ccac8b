import type { TestDatabase } from '@internal/stack'
import { createInboxDedup, type InboxEventKey } from '@oncebox/consumer-dedup'
import type { TransactionHandle } from '@oncebox/outbox'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { knexDriver, pgDriver, type Driver } from './adapters.js'
import { createInboxDatabase, effects, events, gate } from './fixture.js'
import { openPool } from './positions.js'

let database: TestDatabase
let pool: ReturnType<typeof openPool>
beforeAll(async () => {
  database = await createInboxDatabase()
  pool = openPool(database.url)
})
afterAll(async () => {
  await pool.end()
  await database.drop()
})

function promises<Tx extends TransactionHandle>(driver: Driver<Tx>): void {
  describe(driver.name, () => {
    let opened: ReturnType<Driver<Tx>['open']>
    beforeAll(() => (opened = driver.open(database.url)))
    afterAll(() => opened.close())
    const setUp = (consumer: string) => {
      const dedup = createInboxDedup({ db: opened.db, consumer: `${driver.name}-${consumer}` })
      const [effect] = events(1)
      if (effect === undefined) throw new Error('one was asked for')
      const key: InboxEventKey = { source: 'orders', id: effect.id }
      const run = (then: (tx: Tx) => PromiseLike<unknown> = () => Promise.resolve()) =>
        opened.db.transaction((tx) =>
          dedup.once(tx, key, async () => {
            await driver.insertEffect(tx, effect, dedup.consumer)
            await then(tx)
          }),
        )
      const found = async () =>
        (await effects(pool)).filter(({ consumer: of }) => of === dedup.consumer).length
      return { dedup, key, effect, run, found }
    }

    test('of deliveries at the same time one runs the effect, and the others wait to know it', async () => {
      const { run, found } = setUp('twice')
      expect((await Promise.all([run(), run(), run(), run()])).toSorted()).toEqual([
        'duplicate',
        'duplicate',
        'duplicate',
        'handled',
      ])
      expect(await run()).toBe('duplicate')
      expect(await found()).toBe(1)
    })

    test('a transaction that is rolled back leaves no mark, and whoever waits for it runs the effect', async () => {
      const { run, found } = setUp('rolled-back')
      const [begun, open] = [gate(), gate()]
      const first = run(async () => {
        begun.open()
        await open.opened
        throw new Error('no')
      })
      await begun.opened
      const second = run()
      open.open()
      await expect(first).rejects.toThrow('no')
      expect(await second).toBe('handled')
      expect(await found()).toBe(1)
    })

    test('an effect that fails takes its mark with it, also when the caller swallows the error and commits', async () => {
      const { dedup, key, run, found } = setUp('swallowed')
      const swallowing = opened.db.transaction(async (tx) => {
        await dedup.once(tx, key, () => Promise.reject(new Error('no'))).catch(() => undefined)
      })
      await expect(swallowing).rejects.toMatchObject({ code: 'OUTBOX_TRANSACTION_FAILED' })
      expect(await run()).toBe('handled')
      expect(await found()).toBe(1)
    })

    test('other consumers and other sources have marks of their own, and a crash of the server is no end of it', async () => {
      const { dedup, key, run, found } = setUp('own')
      expect(await run()).toBe('handled')
      const other = createInboxDedup({ db: opened.db, consumer: `${dedup.consumer}-other` })
      const nothing = () => Promise.resolve()
      await pool.query('delete from inbox.life') // as crash recovery does: the table is unlogged
      expect(await opened.db.transaction((tx) => other.once(tx, key, nothing))).toBe('handled')
      expect(
        await opened.db.transaction((tx) => dedup.once(tx, { ...key, source: 'payments' }, nothing)),
      ).toBe('handled')
      expect(await found()).toBe(1)
      await expect(dedup.once(pool as never, key, nothing)).rejects.toMatchObject({
        code: 'OUTBOX_NOT_IN_TRANSACTION',
      })
    })
  })
}

promises(pgDriver)
promises(knexDriver)
