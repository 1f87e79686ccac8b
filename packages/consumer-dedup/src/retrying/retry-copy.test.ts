import { defineTopic, type HeaderBag } from '@oncebox/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { envelopeOf } from '../records/decode.js'
import { keptRecord } from '../records/record.js'
import { dueAtOf, readRetryCopy, retryHeaders } from './retry-copy.js'

const topicId = '01890a5d-ac96-474b-8cce-b302099a8057'
const origin = { topic: 'orders', topicId, partition: 3, offset: 9_007_199_254_740_993n }
const place = { topic: 'orders.retry.billing.2', topicId, partition: 0, offset: 7n }
const tier = {
  topic: place.topic,
  origin: defineTopic('orders', { events: { 'order.placed': z.unknown() } }),
  number: 2,
  delayMs: 1_000,
}
const dueAt = new Date('2026-01-02T03:04:05.678Z')

const record = keptRecord({
  ...origin,
  timestamp: new Date('2026-01-02T03:04:04.000Z'),
  key: Buffer.from([0xff, 0x00, 0x41]),
  value: Buffer.from('{}'),
  headers: {
    ce_id: 'order-1',
    ce_type: 'order.placed',
    ce_source: 'orders',
    bytes: Buffer.from([0xfe]),
    twice: ['a', 'b'],
  },
})
const cause = {
  code: 'CONSUMER_HANDLER_FAILED',
  reason: `${'x'.repeat(999)}\u{1F600}`,
  stack: 'Error\n'.repeat(2_000),
}
const letter = {
  consumer: 'billing',
  envelope: envelopeOf(record),
  record,
  attempts: 4,
  kills: 0,
  ...cause,
}

/** As Kafka gives it back: with the envelope of somebody else, and text only. */
const copyWith = (headers: HeaderBag) =>
  keptRecord({ ...place, timestamp: new Date(), key: Buffer.from('?'), value: record.value, headers })

test('the copy of an event in a retry topic gives the event back byte for byte, with its place and its attempts', () => {
  const headers = retryHeaders(letter, tier, dueAt)
  expect(JSON.stringify(headers)).not.toContain('\\ud83d') // half of a pair is no text for jsonb
  expect(headers['oncebox-retry-stack']?.length).toBeLessThanOrEqual(4_000)
  const read = readRetryCopy(copyWith({ ...headers, ce_id: 'another', ce_type: 'x', ce_source: 'billing' }))
  if (read === 'none') throw new Error('it is a copy')
  expect(read.retried).toEqual({ tier: 2, attempts: 4, origin })
  expect(read.record).toMatchObject({ ...place, key: record.key, timestamp: record.timestamp })
  expect(read.record.envelope).toEqual(letter.envelope)
  expect(read.record.headers).toMatchObject({
    bytes: [Buffer.from([0xfe])],
    twice: [Buffer.from('a'), Buffer.from('b')],
  })
  expect(dueAtOf(Object.entries(headers).map(([name, value]) => [name, Buffer.from(value)]))).toBe(+dueAt)
})

test('what lacks a header, or has another thing in it, is no copy, and is due at once', () => {
  const headers = retryHeaders(letter, tier, dueAt)
  const names = Object.keys(headers).filter((name) =>
    /-(tier|attempts|original-(partition|offset|topic-id|timestamp|record))$/.test(name),
  )
  expect(names).toHaveLength(7)
  for (const name of names) {
    expect(readRetryCopy(copyWith({ ...headers, [name]: undefined }))).toBe('none')
    expect(readRetryCopy(copyWith({ ...headers, [name]: 'null' }))).toBe('none')
  }
  expect(dueAtOf([])).toBe(0)
  expect(dueAtOf([['oncebox-retry-due', Buffer.from('soon')]])).toBe(0)
})
