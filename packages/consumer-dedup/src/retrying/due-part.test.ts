import type { ConsumedRecord, FetchedBatch } from '@oncebox/kafka'
import { expect, test } from 'vitest'
import { duePart } from './due-part.js'

const now = Date.parse('2026-01-01T00:00:00.000Z')

const recordAt = (offset: bigint, dueInMs: number): ConsumedRecord => ({
  offset,
  timestampMs: now,
  key: null,
  value: null,
  headers: [['oncebox-retry-due', Buffer.from(new Date(now + dueInMs).toISOString())]],
  headerTexts: () => [],
})

/** Offset 10 is the marker of a transaction. */
const batchOf = (...dueInMs: number[]): FetchedBatch => ({
  topic: 'orders.retry.billing.1',
  topicId: '',
  partition: 0,
  fetchedOffset: 10n,
  nextOffset: 40n,
  logStartOffset: 0n,
  lastStableOffset: 40n,
  highWatermark: 40n,
  records: dueInMs.map((ms, index) => recordAt(BigInt(11 + 2 * index), ms)),
})

test('a batch of a retry topic ends before the first event that is not due', () => {
  const whole = batchOf(-5, 0)
  expect(duePart(whole, now)).toEqual({ batch: whole, waitMs: undefined })
  expect(duePart(batchOf(-5, 700, -1), now)).toMatchObject({
    batch: { fetchedOffset: 10n, nextOffset: 13n, records: [{ offset: 11n }] },
    waitMs: 700,
  })
  expect(duePart(batchOf(700), now)).toMatchObject({ batch: { nextOffset: 11n, records: [] }, waitMs: 700 })
})

test('what waits is not fetched again for each event anew, and looked at again within a minute', () => {
  expect(duePart(batchOf(1), now).waitMs).toBe(50)
  expect(duePart(batchOf(604_800_000), now).waitMs).toBe(60_000)
})
