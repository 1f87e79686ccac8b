import { expect, test } from 'vitest'
import { unreadyReasons, type RelayView, type ShardView } from './readiness.js'

const limits = { nowMs: 100_000, readyWithinMs: 10_000, leaseMs: 3_000 }
const since = new Date(0)

const shard = (changes: Partial<ShardView> = {}): ShardView => ({
  status: { shard: 4, state: 'publishing', since },
  step: 'waiting',
  topics: ['orders'],
  progressMs: 99_000,
  ...changes,
})
const relay = (changes: Partial<RelayView> = {}): RelayView => ({
  state: 'running',
  heartbeatMs: 99_000,
  shards: [shard()],
  ...changes,
})
const codes = (view: RelayView): readonly string[] => unreadyReasons(view, limits).map(({ code }) => code)

test('a relay that looked lately is ready, and so is one that stands by without a shard', () => {
  expect(codes(relay())).toEqual([])
  expect(codes(relay({ shards: [] }))).toEqual([])
})

test('a relay that starts, stops or has failed is not', () => {
  expect(codes(relay({ state: 'starting' }))).toEqual(['not-running'])
  expect(codes(relay({ state: 'failed' }))).toEqual(['not-running'])
})

test('a relay that stands by over a database that does not answer is not: others take it for dead', () => {
  expect(codes(relay({ shards: [], heartbeatMs: 96_000 }))).toEqual(['no-heartbeat'])
  expect(codes(relay({ shards: [], heartbeatMs: undefined }))).toEqual(['no-heartbeat'])
})

test('a batch that does not get through is told with its topics; one that takes its time is not', () => {
  expect(codes(relay({ shards: [shard({ step: 'publishing', progressMs: 90_000 })] }))).toEqual([])
  expect(
    unreadyReasons(relay({ shards: [shard(), shard({ step: 'publishing', progressMs: 89_999 })] }), limits),
  ).toMatchObject([{ code: 'stalled', shard: 4, step: 'publishing', topics: ['orders'] }])
})

test('a halted shard is told at once, with what it waits for', () => {
  const why = { code: 'RELAY_TOPIC_UNAVAILABLE', message: 'topic audit cannot be used', topic: 'audit' }
  for (const state of ['halted', 'reopening'] as const)
    expect(
      unreadyReasons(relay({ shards: [shard({ status: { shard: 4, state, since, why } })] }), limits),
    ).toMatchObject([{ code: 'halted', why: { topic: 'audit' } }])
})

test('a single doubt is none; one that stays is a stall, with its error', () => {
  const why = { code: 'KAFKA_UNAVAILABLE', message: 'no broker answers' }
  const status = { shard: 4, state: 'reopening', since, why } as const
  expect(codes(relay({ shards: [shard({ status, step: 'backing-off' })] }))).toEqual([])
  expect(
    unreadyReasons(relay({ shards: [shard({ status, step: 'opening', progressMs: 80_000 })] }), limits),
  ).toMatchObject([{ code: 'stalled', why: { code: 'KAFKA_UNAVAILABLE' } }])
})
