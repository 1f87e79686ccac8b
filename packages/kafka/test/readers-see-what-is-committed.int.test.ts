import { CompressionTypes } from 'kafkajs'
import { expect, onTestFinished, test } from 'vitest'
import { connectKafka } from '../src/index.js'
import { beginTransaction, follow } from './following.js'
import { numbered, setUp } from './fixture.js'

test('all partitions are read in order, batch behind batch, with what the log holds', async () => {
  const { client, open, topic, records, committed } = await setUp({ partitions: 3 })
  const session = await open()
  for (let turn = 0; turn < 20; turn++)
    await session.publish({
      partitions: [0, 1, 2].map((partition) => records(numbered(`${partition}-${turn}`, 50), partition)),
    })
  await session.close()
  await open() // EndTxn is acknowledged before its markers are written: the next session waits for them
  const { batches, loop, untilOffset, values } = follow(client, { partitionBytesMax: 4_096 })
  loop.assign([0, 1, 2].map((partition) => ({ topic, partition, offset: 0n })))
  const end = 20n * 51n // each transaction has a marker
  await Promise.all([0, 1, 2].map((partition) => untilOffset(end, partition)))

  expect([...values(0), ...values(1), ...values(2)]).toEqual(await committed())
  for (const partition of [0, 1, 2]) {
    const own = batches.filter((batch) => batch.partition === partition)
    expect(own.length).toBeGreaterThan(4)
    expect(own.map(({ fetchedOffset }) => fetchedOffset)).toEqual([
      0n,
      ...own.slice(0, -1).map(({ nextOffset }) => nextOffset),
    ])
    expect(own.at(-1)).toMatchObject({
      topicId: (await client.describeTopic(topic)).topicId,
      nextOffset: end,
      logStartOffset: 0n,
      lastStableOffset: end,
      highWatermark: end,
    })
    expect(loop.progress({ topic, partition })).toMatchObject({ position: end, lastStableOffset: end })
  }
})

test('aborted transactions of two producers that overlap, and several of one producer, are not seen', async () => {
  const { brokers, client, topic, committed } = await setUp()
  const write = async (
    transaction: Awaited<ReturnType<typeof beginTransaction>>,
    values: readonly string[],
  ): Promise<void> => {
    // The key of a marker of Kafka's own: only the control bit makes one.
    await transaction.send({ topic, messages: values.map((value) => ({ key: Buffer.alloc(4), value })) })
  }
  const [first, second, kept] = [
    await beginTransaction(brokers),
    await beginTransaction(brokers),
    await beginTransaction(brokers),
  ]
  await write(first, numbered('first', 5))
  await write(second, numbered('second', 5))
  await write(kept, numbered('kept', 5))
  await second.abort() // began later, ends first: the broker lists it first
  await write(first, numbered('first-again', 5))
  await write(kept, numbered('kept-again', 5))
  await first.abort()
  await kept.commit()
  const { loop, untilOffset, values } = follow(client)
  loop.assign([{ topic, partition: 0, offset: 0n }])
  await untilOffset(28n) // 25 records, 3 markers

  expect(values()).toEqual([...numbered('kept', 5), ...numbered('kept-again', 5)])
  expect(values()).toEqual(await committed())
})

test('an aborted transaction that is larger than one fetch is passed over, and two of one producer in one fetch', async () => {
  const { client, open, topic, records, committed } = await setUp()
  const session = await open()
  const refused = Promise.reject(new Error('refused'))
  refused.catch(() => undefined)
  await session.publish({ partitions: [records(numbered('first', 3))] })
  for (const size of [3_000, 2, 2]) {
    const publishing = session.publish({ partitions: [records(numbered('aborted', size))], gate: refused })
    await expect(publishing).rejects.toMatchObject({ outcome: 'not-committed' })
  }
  await session.publish({ partitions: [records(numbered('last', 3))] })
  await open()
  const { batches, loop, untilOffset, values } = follow(client, { partitionBytesMax: 1_024 })
  loop.assign([{ topic, partition: 0, offset: 0n }])
  await untilOffset(3_015n)

  expect(values()).toEqual([...numbered('first', 3), ...numbered('last', 3)])
  expect(values()).toEqual(await committed())
  // A position can pass what nobody sees: those batches are delivered too, empty.
  expect(batches.some(({ records: seen, nextOffset }) => seen.length === 0 && nextOffset > 3_000n)).toBe(true)
})

test('reading may begin in the middle of an aborted transaction', async () => {
  const { client, open, topic, records } = await setUp()
  const session = await open()
  const refused = Promise.reject(new Error('refused'))
  refused.catch(() => undefined)
  await session
    .publish({ partitions: [records(numbered('aborted', 10))], gate: refused })
    .catch(() => undefined)
  await session.publish({ partitions: [records(numbered('kept', 10))] })
  await open()
  const { batches, loop, untilOffset, values } = follow(client)
  loop.assign([{ topic, partition: 0, offset: 4n }])
  await untilOffset(22n)
  expect(values()).toEqual(numbered('kept', 10))
  expect(batches[0]).toMatchObject({ fetchedOffset: 4n })

  const later = follow(client)
  later.loop.assign([{ topic, partition: 0, offset: 15n }])
  await later.untilOffset(22n)
  expect(later.values()).toEqual(numbered('kept', 10).slice(4))
})

test('nothing is seen past an open transaction, and the last stable offset says where it begins', async () => {
  const { brokers, client, open, topic, records } = await setUp()
  const session = await open()
  await session.publish({ partitions: [records(numbered('before', 3))] })
  const foreign = await beginTransaction(brokers)
  await foreign.send({ topic, messages: [{ value: 'undecided' }] })
  await session.publish({ partitions: [records(numbered('behind', 3))] })
  await open()
  const { batches, loop, until, untilOffset, values } = follow(client)
  loop.assign([{ topic, partition: 0, offset: 0n }])
  await untilOffset(4n)
  expect(values()).toEqual(numbered('before', 3))
  expect(batches.at(-1)).toMatchObject({ nextOffset: 4n, lastStableOffset: 4n, highWatermark: 9n })

  await foreign.abort()
  await untilOffset(10n)
  expect(values()).toEqual([...numbered('before', 3), ...numbered('behind', 3)])
  await until(() => loop.progress({ topic, partition: 0 })?.lastStableOffset === 10n)
})

test('what decompresses to more than may be in memory at once is delivered in parts, and nothing between them is lost', async () => {
  const { brokers, topic } = await setUp()
  const client = await connectKafka({ brokers, decompressedBytesMax: 1_048_576 })
  onTestFinished(() => client.close())
  const writer = await beginTransaction(brokers)
  for (const name of ['a', 'b', 'c', 'd'])
    await writer.send({
      topic,
      compression: CompressionTypes.GZIP,
      messages: [{ value: name.repeat(600_000) }],
    })
  await writer.commit()
  const { batches, halted, loop, untilOffset, values } = follow(client)
  loop.assign([{ topic, partition: 0, offset: 0n }])
  await untilOffset(5n)
  expect(halted).toEqual([])
  expect(values().map((value) => value[0])).toEqual(['a', 'b', 'c', 'd'])
  expect(batches.map(({ fetchedOffset, nextOffset }) => [fetchedOffset, nextOffset])).toEqual([
    [0n, 1n],
    [1n, 2n],
    [2n, 3n],
    [3n, 5n],
  ])
})

test('what many transactions of many writers commit is what Apache’s own consumer reads', async () => {
  const { brokers, client, topic, committed } = await setUp({ partitions: 2 })
  const random = seeded(7)
  let written = 0
  for (let round = 0; round < 4; round++) {
    const writers = [
      await beginTransaction(brokers),
      await beginTransaction(brokers),
      await beginTransaction(brokers),
    ]
    for (let step = 0; step < 9; step++)
      await writers[Math.floor(random() * 3)]?.send({
        topic,
        messages: Array.from({ length: 1 + Math.floor(random() * 20) }, () => ({
          key: random() < 0.5 ? Buffer.alloc(4) : null,
          value: `${written++}`,
          partition: random() < 0.5 ? 0 : 1,
        })),
      })
    for (const writer of writers.toSorted(() => random() - 0.5))
      await (random() < 0.5 ? writer.commit() : writer.abort())
  }
  const last = await beginTransaction(brokers)
  await last.send({
    topic,
    messages: [0, 1].map((partition) => ({ value: 'last', partition })),
  })
  await last.commit()
  const { loop, until, values } = follow(client, { partitionBytesMax: 2_048 })
  loop.assign([0, 1].map((partition) => ({ topic, partition, offset: 0n })))
  await until(() => [0, 1].every((partition) => values(partition).at(-1) === 'last'))
  expect([...values(0), ...values(1)]).toEqual(await committed())
})

/** Random numbers that are the same each time. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
}
