import { expect, test } from 'vitest'
import { Kafka, logLevel } from 'kafkajs'
import { sharedStack } from '@internal/stack'
import { createRelay, verify } from '../src/index.js'
import { emitSteadily, setUp, startRelayProcess, untilIdleAt, untilPublished, type Bed } from './bed.js'

test('nothing is said of a sound outbox, also while events are committed and published', async () => {
  await using bed = await setUp()
  await using relay = createRelay(bed.options)
  await relay.start()
  await using writing = emitSteadily(bed)
  await writing.more(200)
  const report = await verify(bed.options)
  await writing.stop()
  expect(report).toMatchObject({
    ok: true,
    lost: { count: 0 },
    doubled: { count: 0 },
    reordered: { count: 0 },
  })
  expect(report.topics[0]?.present).toBeGreaterThanOrEqual(150)
})

test('lost, doubled and reordered events are found, and named; the command ends with 1', async () => {
  await using bed = await setUp({ partitions: 1 })
  {
    await using relay = createRelay(bed.options)
    await relay.start()
    for (let window = 0; window < 4; window++) {
      const published = untilPublished(bed.relayName, 3)
      await bed.emit(['a', 'b', 'c'])
      await published
    }
    await untilIdleAt(bed)
  }
  const { rows } = await bed.pool.query<{ id: string; key: string }>(
    'select id, key from outbox.events order by events.seq',
  )
  const ids = rows.map(({ id }) => id)
  // The topic anew, by hand: without the first event of a, with the second of b twice, with those of c the wrong way round.
  const order = [1, 5, 4, 4, 2, 3, 6, 7, 8, 9, 10, 11]
  await rewrite(
    bed,
    order.map((n) => rows[n] ?? { id: '', key: '' }),
  )
  await bed.emit(['waiting'])

  const report = await verify(bed.options)
  expect(report).toMatchObject({
    ok: false,
    waiting: 1,
    lost: { count: 1 },
    doubled: { count: 1 },
    withoutRow: 0,
  })
  expect(report.lost.events).toMatchObject([{ id: ids[0] }])
  expect(report.doubled.events).toMatchObject([{ id: ids[4] }])
  expect(report.reordered.pairs).toMatchObject([{ late: { offset: 4n }, early: { offset: 1n } }])

  const command = startRelayProcess(bed, { command: ['verify'] })
  const { code, output } = await command.ended
  expect(output).toContain(`lost: ${bed.topic} ${ids[0]}`)
  expect(output).toContain('1 lost, 1 doubled, 1 out of order; 1 not published yet')
  expect(code).toBe(1)
})

/** Replaces what is in the topic, as somebody might who meant well. */
async function rewrite(
  bed: Bed,
  records: readonly { readonly id: string; readonly key: string }[],
): Promise<void> {
  const client = new Kafka({ brokers: [...sharedStack().kafka.brokers], logLevel: logLevel.NOTHING })
  const admin = client.admin()
  await admin.connect()
  await admin.deleteTopics({ topics: [bed.topic] })
  await expect
    .poll(async () => (await admin.listTopics()).includes(bed.topic), { timeout: 20_000 })
    .toBe(false)
  await admin.createTopics({ topics: [{ topic: bed.topic, numPartitions: 1 }], waitForLeaders: true })
  await admin.disconnect()
  const producer = client.producer()
  await producer.connect()
  for (const { id, key } of records)
    await producer.send({
      topic: bed.topic,
      messages: [{ key, value: '{}', headers: { ce_id: id, ce_source: 'test', ce_type: 'test.happened' } }],
    })
  await producer.disconnect()
}
