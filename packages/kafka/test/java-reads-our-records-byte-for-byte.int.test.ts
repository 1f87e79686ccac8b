import { readTopic } from '@internal/audit'
import { createTopic, sharedStack } from '@internal/stack'
import { expect, test } from 'vitest'
import { encodeHeader, PartitionRecords } from '../src/index.js'
import { setUp } from './fixture.js'

test('headers, null keys and values, empty values, large values and odd timestamps arrive as they were appended', async () => {
  const { open } = await setUp()
  const topic = await createTopic('bytes', { config: { 'max.message.bytes': '4000000' } })
  const session = await open()
  const big = Buffer.alloc(3_000_000, 'a big value. ')
  const text = Buffer.from('{"price":"3 €","rocket":"🚀"}')
  const source = Buffer.concat([Buffer.from('key'), text, big])
  const pieces = [
    Buffer.concat([encodeHeader('ce_id', 'id-1'), encodeHeader('ce_type', 'order.placed')]),
    encodeHeader('naïve', Buffer.from('ü')),
  ]
  const records = new PartitionRecords(topic, 0, { maxMessageBytes: 4_000_000 })
  const textEnd = 3 + text.length
  records.append(1_700_000_000_000, source, 0, 3, 3, textEnd, 3, pieces)
  records.append(1_600_000_000_000, source, -1, -1, textEnd, source.length, 0, [])
  records.append(1_700_000_000_001, source, 0, 3, -1, -1, 0, [])
  records.append(1_700_000_000_000, source, 0, 3, 3, 3, 0, [])
  await session.publish({ partitions: [records] })

  const read = await readTopic({ ...sharedStack().kafka, topic, isolation: 'read_committed' })
  const headers = new Map([
    ['ce_id', 'id-1'],
    ['ce_type', 'order.placed'],
    ['naïve', 'ü'],
  ])
  expect(
    read.map(({ timestampMs, key, value, headers: found }) => [
      timestampMs,
      key,
      value?.equals(big) === true ? 'big' : value,
      found,
    ]),
  ).toEqual([
    [1_700_000_000_000, 'key', text, headers],
    [1_600_000_000_000, null, 'big', new Map()],
    [1_700_000_000_001, 'key', null, new Map()],
    [1_700_000_000_000, 'key', Buffer.alloc(0), new Map()],
  ])
})
