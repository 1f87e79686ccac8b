import { expect, test } from 'vitest'
import { readLastValue, readPartition } from '../src/index.js'
import { numbered, recordsOf, setUp } from './fixture.js'

test('the last committed value of a key is found below thousands of records and aborted values', async () => {
  const { client, open, progress } = await setUp()
  const session = await open()
  const write = (texts: readonly string[], gate?: Promise<never>) =>
    session.publish({ partitions: [recordsOf(progress, 0, 1_000_000, texts)], ...(gate && { gate }) })
  const { placed } = await write(['position'])
  await write(numbered('other', 3_000))
  for (let attempt = 0; attempt < 5; attempt++) {
    const gate = Promise.reject(new Error('aborted'))
    await expect(write(['position', ...numbered('aborted', 200)], gate)).rejects.toMatchObject({
      outcome: 'not-committed',
    })
  }
  await session.close()

  const { claimOffset } = await open()
  const at = { topic: progress, partition: 0, beforeOffset: claimOffset }
  expect(claimOffset).toBeGreaterThan(4_000n)
  expect(await readLastValue(client, { ...at, key: Buffer.from('position') })).toEqual({
    offset: placed[0]?.baseOffset,
    value: Buffer.from('position'),
  })
  expect(await readLastValue(client, { ...at, key: Buffer.from('aborted-7') })).toBeNull()
  expect(await readLastValue(client, { ...at, key: Buffer.from('never written') })).toBeNull()
  // Its own claim is at the offset, not below it: the one before counts.
  expect(await readLastValue(client, { ...at, key: Buffer.from('claim') })).toMatchObject({ offset: 0n })
})

test('a partition is read in order, from any offset, without what was aborted', async () => {
  const { client, open, topic, records } = await setUp()
  const session = await open()
  await session.publish({ partitions: [records(numbered('first', 10))] })
  await session
    .publish({ partitions: [records(['aborted'])], gate: Promise.reject(new Error('no')) })
    .catch(() => undefined)
  await session.publish({ partitions: [records(numbered('second', 10))] })
  const values = async (fromOffset?: bigint): Promise<string[]> => {
    const read: string[] = []
    for await (const { value } of readPartition(client, {
      topic,
      partition: 0,
      ...(fromOffset !== undefined && { fromOffset }),
    }))
      read.push(String(value))
    return read
  }
  // EndTxn is acknowledged before its markers are written: the next session waits for them.
  await open()
  expect(await values()).toEqual([...numbered('first', 10), ...numbered('second', 10)])
  expect(await values(7n)).toEqual([...numbered('first', 10).slice(7), ...numbered('second', 10)])
})
