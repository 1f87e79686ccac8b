import { afterEach, expect, test } from 'vitest'
import pg from 'pg'
import { installFaultHandler } from '@oncebox/core'
import { startPrivatePostgres } from '@internal/stack'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, untilIdleAt, untilPublished, untilSeen, type Bed } from './bed.js'
import { burnTransactionIds, crashByOneBackend, emitThroughFailures } from './movable-bed.js'

afterEach(() => installFaultHandler(undefined))

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
  await fiftyMore(bed)
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect(await bed.published()).toHaveLength(50)
}

// The longest that PostgreSQL leaves a commit of such a writer unflushed: a crash then takes it back.
const lazyFlushes = { wal_writer_delay: '10s' }
const lazily = '-c synchronous_commit=off'

test('what writers committed without waiting for the disk, and the database lost, was never published', async () => {
  await using server = await startPrivatePostgres({ settings: lazyFlushes })
  await using bed = await setUp({ serverUrl: server.url })
  await using relay = createRelay(bed.options)
  await relay.start()
  await untilIdleAt(bed)
  let crashes = 1
  // The rows are read, and nothing says yet that they are durable.
  installFaultHandler(async (name) => {
    if (name !== 'relay.window.taken' || crashes-- <= 0) return
    await server.kill('SIGKILL')
    await server.start()
  })
  const doubt = untilSeen('relayReopening', bed.relayName)
  const writer = new pg.Client({ connectionString: bed.url, options: lazily })
  writer.on('error', () => undefined)
  await writer.connect()
  await writer.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     select 0, outbox.uuid7(), 'test', '${bed.topic}', 'test.happened', 'lost', '{}' from generate_series(1, 10)`,
  )
  await doubt
  expect(await bed.committed(), 'the crash takes the events back').toEqual([])
  await fiftyEventsArriveOnce(bed)
})

test('under load of such writers, the server and single backends are killed again and again, also while nothing happens', async () => {
  await using server = await startPrivatePostgres({ settings: lazyFlushes })
  await using bed = await setUp({ serverUrl: server.url })
  await using relay = createRelay(bed.options)
  await relay.start()
  const strikes = [
    async () => {
      await server.kill('SIGKILL')
      await server.start()
    },
    () => crashByOneBackend(server, bed, "application_name like 'oncebox-relay%recorder'"),
    () => crashByOneBackend(server, bed, "application_name = 'writer'"),
  ]
  for (let round = 0; round < 2; round++) {
    for (const strike of strikes) {
      {
        await using writing = emitThroughFailures(bed, { session: lazily })
        await writing.more(150)
        await strike()
        await writing.more(30)
      }
      await untilIdleAt(bed)
      await burnTransactionIds(bed, 100)
    }
    // Nothing to publish, and ids that the crash forgets.
    await strikes[round]?.()
  }
  await fiftyMore(bed)
  await untilIdleAt(bed)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

async function fiftyMore(bed: Bed): Promise<void> {
  const published = untilPublished(bed.relayName, 50)
  await bed.emit(Array.from({ length: 50 }, (_, n) => `key-${n % 5}`))
  await published
}
