import { expect, test } from 'vitest'
import pg from 'pg'
import { describeVerdict } from '@internal/audit'
import { startPrivatePostgres } from '@internal/stack'
import { createRelay } from '../src/index.js'
import { insertEvent, setUp, untilPublished, type Bed } from './bed.js'

// What holds up a relay that reads below the oldest transaction in progress, or by logical decoding.
test('a forgotten slot, and transactions left open here, prepared, and in another database hold nothing up', async () => {
  await using server = await startPrivatePostgres({
    settings: { max_prepared_transactions: '1', wal_level: 'logical' },
  })
  await using bed = await setUp({ serverUrl: server.url })
  await bed.pool.query("select pg_create_logical_replication_slot('forgotten', 'pgoutput')")
  await using _elsewhere = await leftOpen(server.url, 'select pg_current_xact_id()')
  await using here = await leftOpen(bed.url, insertEvent, [bed.topic, 'open', Buffer.from('{}')])
  await prepare(bed, ['prepared'])

  await using relay = createRelay(bed.options)
  await relay.start()
  await fiftyEventsArrive(bed)

  const published = untilPublished(bed.relayName, 2)
  await here.client.query('commit')
  await bed.pool.query("commit prepared 'prepared'")
  await published
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('two thousand transactions in progress hold nothing up, and each event of theirs arrives once when they end', async () => {
  const names = Array.from({ length: 2_000 }, (_, n) => `prepared-${n}`)
  await using server = await startPrivatePostgres({
    settings: { max_prepared_transactions: String(names.length) },
  })
  await using bed = await setUp({ serverUrl: server.url })
  await prepare(bed, names)

  await using relay = createRelay(bed.options)
  await relay.start()
  await fiftyEventsArrive(bed)

  // Every third is rolled back, from the newest on.
  const endings = names.map((name, n) => ({ name, ending: n % 3 === 0 ? 'rollback' : 'commit' })).toReversed()
  const published = untilPublished(bed.relayName, endings.filter(({ ending }) => ending === 'commit').length)
  await Promise.all(endings.map(({ name, ending }) => bed.pool.query(`${ending} prepared '${name}'`)))
  await published
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

async function fiftyEventsArrive(bed: Bed): Promise<void> {
  const published = untilPublished(bed.relayName, 50)
  await bed.emit(Array.from({ length: 50 }, (_, n) => `key-${n % 5}`))
  await published
}

/** One transaction of a connection of its own, which has done that and does not end. */
async function leftOpen(
  url: string,
  statement: string,
  values: unknown[] = [],
): Promise<AsyncDisposable & { readonly client: pg.Client }> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('begin')
  await client.query(statement, values)
  return { client, [Symbol.asyncDispose]: async () => await client.end() }
}

/** Transactions that have emitted an event and wait for the second phase of their commit. */
async function prepare(bed: Bed, names: readonly string[]): Promise<void> {
  await Promise.all(
    names.map(async (name) => {
      const client = await bed.pool.connect()
      await client.query('begin')
      await client.query(insertEvent, [bed.topic, name, Buffer.from('{}')])
      await client.query(`prepare transaction '${name}'`)
      client.release()
    }),
  )
}
