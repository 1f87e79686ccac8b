import path from 'node:path'
import { expect, test } from 'vitest'
import { startPrivatePostgres, type PrivatePostgres } from '@internal/stack'
import { createRelay } from '../src/index.js'
import { adoptNow, expectDiverged, expectOnlyPhantoms, expectToGoOn } from './adopting.js'
import { untilIdleAt, untilPublished, type Bed } from './bed.js'
import { burnTransactionIds, emitThroughFailures, setUpMovable } from './movable-bed.js'

test('a lossless failover under load: the running relay goes on by itself, and nothing is lost or doubled', async () => {
  await using bed = await setUpMovable()
  await using standby = await bed.server.startStandby('other')
  await bed.server.waitForStandby('other')
  await using relay = createRelay(bed.options)
  await relay.start()
  await using writing = emitThroughFailures(bed)
  await writing.more(100)
  await failOver(bed.server, standby)
  await bed.moveTo(standby)
  await writing.more(100)
  await writing.stop()
  await untilIdleAt(bed)
  await expectOnlyPhantoms(bed, 0)
  expect(await adoptNow(bed)).toMatchObject({ outcome: 'nothing-to-do' })
})

test('a lossy failover: the running relay stops, typed, and adopt publishes what was emitted behind the loss', async () => {
  await using bed = await setUpMovable()
  await using standby = await bed.server.startStandby('other')
  await using relay = createRelay(bed.options)
  await relay.start()
  await publish(bed, 30)
  await untilIdleAt(bed)
  await standby.stop()
  await publish(bed, 20) // published, and lost by the database
  const stopped = expect(relay.stopped).rejects.toMatchObject({
    code: 'RELAY_HISTORY_DIVERGED',
    remedy: expect.stringContaining('oncebox adopt') as string,
  })
  await bed.server.kill('SIGKILL')
  await standby.start()
  await standby.promote()
  await bed.moveTo(standby)
  await stopped
  // Their sequence numbers, and as a rule their transaction ids, are those of events that were lost.
  await bed.emit(Array.from({ length: 15 }, (_, n) => `behind-${n % 5}`))
  await expectDiverged(bed)
  expect(await adoptNow(bed)).toMatchObject({
    outcome: 'adopted',
    published: 15,
    events: { present: 30, absent: 15, unknown: 0 },
    keysOutOfOrder: { count: 0 },
  })
  await expectToGoOn(bed, { phantoms: 20 })
})

test('a dump restored on a new server: adopt publishes what is absent, also when the server comes to the ids of the old one', async () => {
  const release = 'debian'
  await using bed = await setUpMovable({ release })
  await burnTransactionIds(bed, 300)
  {
    await using relay = createRelay(bed.options)
    await relay.start()
    await publish(bed, 30)
  }
  await bed.emit(['waiting-1', 'waiting-2', 'waiting-3'])
  const dump = path.join(bed.server.dataDir, '..', 'dump')
  await bed.server.runTool('pg_dump', ['--format=custom', '--file', dump, databaseOf(bed)])
  {
    await using relay = createRelay(bed.options)
    const waiting = untilPublished(bed.relayName, 3)
    await relay.start()
    await waiting
    await publish(bed, 10) // not in the dump
  }
  await using restored = await startPrivatePostgres({ release })
  await restored.runTool('pg_restore', ['--create', '--dbname', 'postgres', dump])
  await bed.moveTo(restored)
  await bed.emit(Array.from({ length: 5 }, (_, n) => `behind-${n}`))
  await expectDiverged(bed)
  const report = await adoptNow(bed)
  expect(report).toMatchObject({
    outcome: 'adopted',
    published: 5,
    events: { present: 33, absent: 5, unknown: 0 },
  })
  expect(report.restamped, 'rows whose ids this server has not come to').toBeGreaterThan(0)
  await expectToGoOn(bed, { phantoms: 10 })
  await burnTransactionIds(bed, 500)
  await expectToGoOn(bed, { phantoms: 10 })
})

test('pg_upgrade under a running relay: it goes on by itself', async () => {
  await using bed = await setUpMovable({ release: 'debian' })
  await using relay = createRelay(bed.options)
  await relay.start()
  await publish(bed, 30)
  await bed.emit(['waiting'])
  await bed.server.upgrade()
  await publish(bed, 10)
  await untilIdleAt(bed)
  await expectOnlyPhantoms(bed, 0)
  expect(await adoptNow(bed)).toMatchObject({ outcome: 'nothing-to-do' })
})

async function failOver(primary: PrivatePostgres, standby: PrivatePostgres): Promise<void> {
  await primary.kill('SIGKILL')
  await standby.promote()
}

/** By the relay that runs. */
async function publish(bed: Bed, events: number): Promise<void> {
  const published = untilPublished(bed.relayName, events)
  await bed.emit(Array.from({ length: events }, (_, n) => `key-${n % 7}`))
  await published
}

const databaseOf = (bed: Bed): string => new URL(bed.url).pathname.slice(1)
