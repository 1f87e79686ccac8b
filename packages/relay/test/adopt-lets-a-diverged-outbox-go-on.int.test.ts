import { EventEmitter, once } from 'node:events'
import { expect, test } from 'vitest'
import { Kafka, logLevel } from 'kafkajs'
import { sharedStack } from '@internal/stack'
import { createRelay } from '../src/index.js'
import { adoptNow, expectDiverged, expectToGoOn } from './adopting.js'
import { fastRotation, setUp, startRelayProcess, untilPublished, type Bed } from './bed.js'

test('an outbox whose relay goes on by itself is left alone', async () => {
  await using bed = await setUp()
  await publish(bed, 3)
  expect(await adoptNow(bed)).toMatchObject({ outcome: 'nothing-to-do', reasons: [] })
  await expectToGoOn(bed)
})

test('a progress topic that was deleted: everything is in its topic, nothing is published, the relay goes on', async () => {
  await using bed = await setUp()
  await publish(bed, 30)
  await deleteTopic(`${bed.relayName}.progress`)
  await expectDiverged(bed)
  expect(await adoptNow(bed)).toMatchObject({
    outcome: 'adopted',
    published: 0,
    events: { present: 30, absent: 0, unknown: 0 },
  })
  await expectToGoOn(bed)
})

test('a progress topic that was deleted while events waited: those are absent, and published once', async () => {
  await using bed = await setUp()
  await publish(bed, 30)
  await bed.emit(Array.from({ length: 10 }, (_, n) => `waiting-${n}`))
  await deleteTopic(`${bed.relayName}.progress`)
  await expectDiverged(bed)
  const plan = await adoptNow(bed, { dryRun: true })
  expect(plan).toMatchObject({ outcome: 'planned', published: 0, events: { present: 30, absent: 10 } })
  expect(await bed.published()).toHaveLength(30)
  await expectDiverged(bed)
  expect(await adoptNow(bed)).toMatchObject({ outcome: 'adopted', published: 10, events: { unknown: 0 } })
  await expectToGoOn(bed)
})

test('a progress topic that was deleted when rotation had emptied the beginnings: what waited is absent all the same', async () => {
  await using bed = await setUp()
  {
    await using relay = createRelay({ ...bed.options, ...fastRotation })
    await relay.start()
    const hasBeginning = 'select from outbox.windows where window_number = 0'
    for (let n = 0; (await bed.pool.query(hasBeginning)).rowCount !== 0; n++) {
      expect(n).toBeLessThan(200)
      const published = untilPublished(bed.relayName, 1)
      await bed.emit([`key-${n}`])
      await published
      await new Promise((resolve) => setTimeout(resolve, 50)) // the rotation's own pace
    }
  }
  const emptied = (await bed.published()).length - (await bed.committed()).length // events whose slots are empty by now
  await bed.emit(['waiting-1', 'waiting-2'])
  await deleteTopic(`${bed.relayName}.progress`)
  await expectDiverged(bed)
  expect(await adoptNow(bed)).toMatchObject({ outcome: 'adopted', published: 2, events: { unknown: 0 } })
  await expectToGoOn(bed, { phantoms: emptied })
})

test('adopt killed at each of its points: run again it finishes, and relays wait for it', async () => {
  await using bed = await setUp({ relay: { batch: { eventsMax: 5 } } })
  await publish(bed, 30)
  await bed.emit(Array.from({ length: 10 }, (_, n) => `waiting-${n}`))
  await deleteTopic(`${bed.relayName}.progress`)
  for (const point of ['fenced', 'compared', 'published', 'recorded', 'positioned']) {
    const killed = startRelayProcess(bed, {
      command: ['adopt', '--yes'],
      fault: `relay.adopt.${point}@1:kill`,
      env: { ONCEBOX_BATCH_EVENTS_MAX: '5' },
    })
    expect((await killed.ended).signal, point).toBe('SIGKILL')
  }
  const said = new EventEmitter()
  const logger = {
    info: () => undefined,
    error: () => undefined,
    warn: (_: object, message: string) => void said.emit(message),
  }
  await using relay = createRelay({ ...bed.options, logger })
  const waits = once(said, 'waiting for oncebox adopt')
  const started = relay.start()
  await waits
  const last = startRelayProcess(bed, { command: ['adopt', '--json'] })
  const { code, output } = await last.ended
  expect(output).toContain('"outcome":"adopted"')
  expect(code).toBe(0)
  await started
  await relay.stop()
  await expectToGoOn(bed)
  expect(await adoptNow(bed)).toMatchObject({ outcome: 'nothing-to-do' })
})

test('nothing is published without a yes, and relays wait until somebody decides', async () => {
  await using bed = await setUp()
  await publish(bed, 5)
  await bed.emit(['waiting'])
  await deleteTopic(`${bed.relayName}.progress`)
  const asked = startRelayProcess(bed, { command: ['adopt'] })
  const { code, output } = await asked.ended
  expect(code).toBe(1)
  expect(output).toContain('run oncebox adopt again, with --yes')
  expect(await bed.published()).toHaveLength(5)
  expect(await adoptNow(bed)).toMatchObject({ outcome: 'adopted', published: 1 })
  await expectToGoOn(bed)
})

test('a Kafka that has nothing of the outbox is refused, until somebody says that it is the right one', async () => {
  await using bed = await setUp()
  await publish(bed, 3)
  const other = { relay: { name: `${bed.relayName}-other` } }
  await bed.pool.query(`update outbox.initialised set kafka_cluster_id = 'another cluster'`)
  await expectDiverged(bed)
  // Here the topic has what the outbox has, so that both have something in common.
  expect(await adoptNow(bed)).toMatchObject({ outcome: 'adopted', events: { present: 3 } })
  await expectToGoOn(bed)
  await bed.emit(['waiting'])
  await bed.pool.query('delete from outbox.events where key <> $1', ['waiting'])
  await expect(adoptNow(bed, other)).rejects.toMatchObject({ code: 'RELAY_ADOPTION_REFUSED' })
})

async function publish(bed: Bed, events: number): Promise<void> {
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, events)
  await relay.start()
  await bed.emit(Array.from({ length: events }, (_, n) => `key-${n % 7}`))
  await published
}

async function deleteTopic(topic: string): Promise<void> {
  const client = new Kafka({ brokers: [...sharedStack().kafka.brokers], logLevel: logLevel.NOTHING })
  const admin = client.admin()
  await admin.connect()
  await admin.deleteTopics({ topics: [topic] })
  await admin.disconnect()
}
