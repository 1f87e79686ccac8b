import { randomName } from '@internal/stack'
import { connectKafka, readGroupOffsets } from '@oncebox/kafka'
import { expect, test } from 'vitest'
import { brokers, createOrders, events, eventually, happens, publish } from './fixture.js'
import { useInbox } from './use-inbox.js'

const inbox = useInbox()

test('Kafka has the position when a consumer has stopped, although no event waits for that', async () => {
  const orders = await createOrders(3)
  const group = randomName('group')
  const client = await connectKafka({ brokers: brokers() })
  for (let round = 1; round <= 3; round += 1) {
    const sent = events(60)
    const consumer = inbox.consume(orders, inbox.pool, { name: group, group, position: { eventsMax: 1 } })
    await publish(
      orders,
      sent.map((event, index) => ({ ...event, partition: index % 3 })),
    )
    await consumer.start()
    await eventually(() => Promise.resolve(consumer.counts.handled === 60))
    await consumer.stop()
    expect((await readGroupOffsets(client, { groupId: group })).map(({ offset }) => Number(offset))).toEqual(
      [1, 2, 3].map(() => 20 * round),
    )
  }
  await client.close()
})

test('Kafka’s offset never runs ahead of the effects', async () => {
  const orders = await createOrders()
  const group = randomName('group')
  const client = await connectKafka({ brokers: brokers() })
  const committed = async (): Promise<number> =>
    Number((await readGroupOffsets(client, { groupId: group }))[0]?.offset ?? -1)
  const seen: number[] = []
  const consumer = inbox.consume(orders, inbox.pool, {
    group,
    position: { eventsMax: 1 },
    handle: async () => void seen.push(await committed()),
  })
  const handled = happens('consumerHandled', consumer.name, { count: 3 })
  await publish(orders, events(3))
  await consumer.start()
  await handled

  expect(seen.map((offset, index) => offset <= index)).toEqual([true, true, true])
  await expect.poll(committed, { timeout: 10_000, interval: 20 }).toBe(3)
  await client.close()
})
