import type { DatabaseAdapter, DatabaseUnderTest } from '@internal/contracts'
import type { TestDatabase } from '@internal/stack'
import { channels } from '@oncebox/core'
import type { Emit } from '@oncebox/outbox'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { knexAdapter, pgAdapter } from './adapters.js'
import { createOutboxDatabase, notes, orders, outbox, placed, storedEvents } from './fixture.js'

function describeAdapter<Tx>(adapter: DatabaseAdapter<Tx>): void {
  describe(adapter.name, () => {
    let database: TestDatabase
    let judge: pg.Pool
    let under: DatabaseUnderTest<Tx>
    let committed: unknown[]
    const listener = (event: unknown): void => void committed.push(event)

    beforeAll(async () => {
      database = await createOutboxDatabase()
      judge = new pg.Pool({ connectionString: database.url, max: 2 })
      channels.outboxCommitted.subscribe(listener)
    })
    afterAll(async () => {
      channels.outboxCommitted.unsubscribe(listener)
      await judge.end()
      await database.drop()
    })
    beforeEach(async () => {
      await judge.query('truncate orders, outbox.events')
      under = adapter.open(database.url, 2)
      committed = []
    })
    afterEach(async () => {
      expect(under.allReturned()).toBe(true)
      await under.close()
    })

    const ordersStored = async (): Promise<number> => (await judge.query('select from orders')).rowCount ?? 0
    const insertOrder = (tx: Tx, id: string): Promise<unknown> =>
      under.run(tx, `insert into orders (id) values ('${id}')`)
    const nothingStored = async (): Promise<void> => {
      expect(await storedEvents(judge)).toEqual([])
      expect(await ordersStored()).toBe(0)
      expect(committed).toEqual([])
    }

    test('transaction commits rows and events together, in the order of their emits', async () => {
      const ids = await outbox.transaction(under.db, async (tx, emit) => {
        const first = emit('order.placed', placed('o-1'), { headers: { trace: '?$1\\' }, partition: 3 })
        await insertOrder(tx, 'o-1')
        const second = emit('note.written', 'hello')
        const third = emit('order.placed', null, { key: 'o-1' })
        return [first, second, third]
      })
      expect(await ordersStored()).toBe(1)
      expect(await storedEvents(judge)).toMatchObject([
        {
          id: ids[0],
          source: 'order-service',
          topic: orders.name,
          type: 'order.placed',
          key: 'o-1',
          partition: 3,
          headers: { trace: '?$1\\' },
          payload: '{"orderId":"o-1","totalCents":100,"placedAt":"2026-01-02T03:04:05.678Z"}',
        },
        {
          id: ids[1],
          topic: notes.name,
          key: null,
          partition: null,
          headers: { 'content-type': 'text/plain; charset=utf-8' },
          payload: 'hello',
        },
        { id: ids[2], type: 'order.placed', key: 'o-1', payload: null },
      ])
      expect(committed).toEqual([{ source: 'order-service', events: 3 }])
    })

    test('transaction inserts the events after everything that work did', async () => {
      await outbox.transaction(under.db, async (tx, emit) => {
        emit('note.written', 'hello')
        const { rows } = await under.db
          .inside(tx)
          .query<{ events: number }>('select count(*)::int as events from outbox.events')
        expect(rows).toEqual([{ events: 0 }])
      })
      expect(await storedEvents(judge)).toHaveLength(1)
    })

    test('transaction takes back rows and events when work throws', async () => {
      const oops = new Error('oops')
      const attempt = outbox.transaction(under.db, async (tx, emit) => {
        await insertOrder(tx, 'o-1')
        emit('order.placed', placed('o-1'))
        throw oops
      })
      await expect(attempt).rejects.toBe(oops)
      await nothingStored()
    })

    test('an event that its schema refuses writes nothing, at once or just before COMMIT', async () => {
      const atOnce = outbox.transaction(under.db, async (tx, emit) => {
        await insertOrder(tx, 'o-1')
        emit('order.placed', { ...placed('o-1'), totalCents: 0.5 })
      })
      await expect(atOnce).rejects.toMatchObject({
        code: 'OUTBOX_PAYLOAD_INVALID',
        details: { issues: [{ path: 'totalCents' }] },
      })
      const later = outbox.transaction(under.db, async (tx, emit) => {
        await insertOrder(tx, 'o-1')
        emit('order.checked', { orderId: 'refused-later' })
      })
      await expect(later).rejects.toMatchObject({
        code: 'OUTBOX_PAYLOAD_INVALID',
        details: { issues: [{ message: 'refused later' }] },
      })
      await nothingStored()
    })

    test('an asynchronous schema keeps the order of the emits', async () => {
      await outbox.transaction(under.db, async (_tx, emit) => {
        emit('order.checked', { orderId: 'o-1' })
        emit('order.placed', placed('o-1'))
      })
      expect(await storedEvents(judge)).toMatchObject([
        { type: 'order.checked', key: 'o-1' },
        { type: 'order.placed' },
      ])
    })

    test('emit after work has returned is refused', async () => {
      const kept: Emit<readonly [typeof orders, typeof notes]>[] = []
      await outbox.transaction(under.db, async (_tx, emit) => void kept.push(emit))
      expect(() => kept[0]?.('note.written', 'late')).toThrow(
        expect.objectContaining({ code: 'OUTBOX_TRANSACTION_ENDED' }),
      )
      await nothingStored()
    })

    test('emit in a transaction that has failed writes nothing', async () => {
      const attempt = outbox.transaction(under.db, async (tx, emit) => {
        await insertOrder(tx, 'o-1')
        await insertOrder(tx, 'o-1').catch(() => undefined)
        emit('order.placed', placed('o-1'))
      })
      await expect(attempt).rejects.toMatchObject({ code: 'OUTBOX_TRANSACTION_FAILED' })
      await nothingStored()
    })

    test('emit in a transaction that work has ended writes nothing', async () => {
      const attempt = outbox.transaction(under.db, async (tx, emit) => {
        emit('note.written', 'before')
        await under.run(tx, 'rollback')
        emit('note.written', 'after')
      })
      await expect(attempt).rejects.toMatchObject({
        code: expect.stringMatching(/^OUTBOX_(NOT_IN_TRANSACTION|TRANSACTION_ENDED)$/),
      })
      await nothingStored()
    })

    test('emit and emitMany write inside a transaction that the driver has begun, and tell nobody yet', async () => {
      const ids = await under.ownTransaction(async (tx) => {
        await insertOrder(tx, 'o-1')
        const handle = tx as pg.ClientBase // or a knex transaction: this body runs for both
        return [
          await outbox.emit(handle, 'order.placed', placed('o-1'), {
            occurredAt: new Date('2020-01-01T00:00:00.123Z'),
          }),
          ...(await outbox.emitMany(handle, [
            { type: 'note.written', payload: 'a', key: 'k', headers: { h: 'v' } },
            { type: 'order.placed', payload: null, key: 'o-1' },
          ])),
        ]
      })
      const stored = await storedEvents(judge)
      expect(stored.map((event) => event.id)).toEqual(ids)
      expect(stored[0]?.occurred_at).toEqual(new Date('2020-01-01T00:00:00.123Z'))
      expect(stored[1]).toMatchObject({ payload: 'a', key: 'k', headers: { h: 'v' } })
      expect(committed).toEqual([])
    })

    test('emit is taken back with its own transaction, and with its savepoint', async () => {
      const oops = new Error('oops')
      const attempt = under.ownTransaction(async (tx) => {
        await outbox.emit(tx as pg.ClientBase, 'note.written', 'gone')
        throw oops
      })
      await expect(attempt).rejects.toBe(oops)
      await nothingStored()
      await under.ownTransaction(async (tx) => {
        const inner = under.savepoint(tx, async (innerTx) => {
          await outbox.emit(innerTx as pg.ClientBase, 'note.written', 'gone')
          throw oops
        })
        await expect(inner).rejects.toBe(oops)
        await outbox.emit(tx as pg.ClientBase, 'note.written', 'kept')
      })
      expect(await storedEvents(judge)).toMatchObject([{ payload: 'kept' }])
    })

    test('emit outside a transaction is refused, whatever the handle', async () => {
      for (const { name, handle } of await under.notTransactions()) {
        await expect(outbox.emit(handle as never, 'note.written', 'x'), name).rejects.toMatchObject({
          code: 'OUTBOX_NOT_IN_TRANSACTION',
        })
        await expect(outbox.emitMany(handle as never, []), name).rejects.toMatchObject({
          code: 'OUTBOX_NOT_IN_TRANSACTION',
        })
      }
      await nothingStored()
    })

    test('an emit that is not awaited is still written before the COMMIT that follows it', async () => {
      let id: Promise<string> | undefined
      await under.ownTransaction(async (tx) => {
        id = outbox.emit(tx as pg.ClientBase, 'note.written', 'x')
        await Promise.resolve()
      })
      expect(await storedEvents(judge)).toMatchObject([{ id: await id }])
    })

    test('2,500 events of one transaction keep their order', async () => {
      const ids = await outbox.transaction(under.db, async (_tx, emit) =>
        Array.from({ length: 2_500 }, (_, index) => emit('note.written', String(index))),
      )
      expect((await storedEvents(judge)).map((event) => event.id)).toEqual(ids)
      expect(committed).toEqual([{ source: 'order-service', events: 2_500 }])
    })

    test('the events of a key are in the order in which the transactions took its lock, also when emitted before', async () => {
      await judge.query(`insert into orders (id) values ('locked')`)
      await judge.query(
        'create table effects (place bigint generated always as identity, txid xid8 default pg_current_xact_id())',
      )
      await Promise.all(
        Array.from({ length: 20 }, () =>
          outbox.transaction(under.db, async (tx, emit) => {
            emit('order.placed', placed('locked'))
            await under.run(tx, `select from orders where id = 'locked' for update`)
            await under.run(tx, 'insert into effects default values')
          }),
        ),
      )
      const { rows } = await judge.query<{ places: number[] }>(
        `select array_agg(place::int order by seq) as places from outbox.events join effects using (txid)`,
      )
      await judge.query('drop table effects')
      expect(rows[0]?.places).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
    })
  })
}

describeAdapter(pgAdapter)
describeAdapter(knexAdapter)

test('a begin that was not awaited is no transaction yet', async () => {
  await using database = await createOutboxDatabase()
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const begun = client.query('begin')
  await expect(outbox.emit(client, 'note.written', 'x')).rejects.toMatchObject({
    code: 'OUTBOX_NOT_IN_TRANSACTION',
  })
  await begun
  await outbox.emit(client, 'note.written', 'y')
  await client.query('commit')
  expect(await storedEvents(client as never)).toMatchObject([{ payload: 'y' }])
  await client.end()
})
