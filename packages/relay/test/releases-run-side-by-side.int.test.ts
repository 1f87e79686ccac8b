import { Kafka, logLevel } from 'kafkajs'
import { expect, test } from 'vitest'
import { describeVerdict, readTopic } from '@internal/audit'
import { sharedStack } from '@internal/stack'
import { createRelay } from '../src/index.js'
import { setUp, untilPublished, type Bed } from './bed.js'

const brokers = [...sharedStack().kafka.brokers]

/** The positions in Kafka, in their order, as records. */
async function positions(bed: Bed): Promise<Record<string, unknown>[]> {
  const records = await readTopic({
    brokers,
    classpath: sharedStack().kafka.classpath,
    topic: `${bed.relayName}.progress`,
    isolation: 'read_committed',
  })
  return records
    .filter(({ key }) => key === 'position')
    .map(({ value }) => JSON.parse(String(value)) as Record<string, unknown>) // what a relay writes
}

/** Writes the last position again, as another release would have written it. */
async function rewrite(bed: Bed, changes: object): Promise<void> {
  const last = (await positions(bed)).at(-1)
  const producer = new Kafka({ clientId: 'test', brokers, logLevel: logLevel.NOTHING }).producer()
  await producer.connect()
  await producer.send({
    topic: `${bed.relayName}.progress`,
    messages: [{ partition: 0, key: 'position', value: JSON.stringify({ ...last, ...changes }) }],
  })
  await producer.disconnect()
}

test('a release goes on from the position of the next one, if its form is known, and passes over what is new in it', async () => {
  await using bed = await setUp()
  await using first = createRelay(bed.options)
  const some = untilPublished(bed.relayName, 3)
  await first.start()
  await bed.emit(['a', 'b', 'c'])
  await some
  await first.stop()
  await rewrite(bed, { ofTheNextRelease: { x: [1] } })
  await bed.emit(['a', 'd'])
  await using second = createRelay(bed.options)
  const rest = untilPublished(bed.relayName, 2)
  await second.start()
  await rest
  await second.stop()
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect((await positions(bed)).at(-1)).toMatchObject({ v: 1, eventsTotal: 5 })
})

test('a release that finds a form it does not know stops, typed, and leaves everything to the newer one', async () => {
  await using bed = await setUp()
  await using first = createRelay(bed.options)
  const some = untilPublished(bed.relayName, 1)
  await first.start()
  await bed.emit(['a'])
  await some
  await first.stop()
  await rewrite(bed, { v: 3 })
  await bed.emit(['b'])
  const older = createRelay(bed.options)
  await expect(older.start()).rejects.toMatchObject({
    code: 'RELAY_RECORD_NEWER',
    details: { version: 3, known: 2 },
  })
  expect(await bed.published()).toHaveLength(1)
  expect((await positions(bed)).at(-1)).toMatchObject({ v: 3 })
  // The newer release goes on from what it wrote: to it, this is a position like any other.
  await rewrite(bed, { v: 1 })
  await using newer = createRelay(bed.options)
  const rest = untilPublished(bed.relayName, 1)
  await newer.start()
  await rest
  await newer.stop()
  expect(describeVerdict(await bed.verdict())).toEqual([])
})
