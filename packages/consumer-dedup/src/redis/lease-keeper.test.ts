import { OutboxError } from '@oncebox/core'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LeaseKeeper } from './lease-keeper.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const leaseMs = 30_000
const unavailable = (): OutboxError => new OutboxError('CONSUMER_REDIS_UNAVAILABLE', 'no answer')

test('a lease that is extended goes on', async () => {
  let extended = 0
  const keeper = new LeaseKeeper({ leaseMs, extend: async () => void extended++ })
  await vi.advanceTimersByTimeAsync(10 * leaseMs)
  expect(keeper.lost.aborted).toBe(false)
  expect(extended).toBeGreaterThanOrEqual(20)
  await keeper.stop()
  await vi.advanceTimersByTimeAsync(10 * leaseMs)
  expect(keeper.lost.aborted).toBe(false)
  expect(vi.getTimerCount()).toBe(0)
})

test('the handler is told when its lease ends, also while an extension is not answered', async () => {
  const keeper = new LeaseKeeper({ leaseMs, extend: () => new Promise(() => undefined) })
  await vi.advanceTimersByTimeAsync(leaseMs - 1)
  expect(keeper.lost.aborted).toBe(false)
  await vi.advanceTimersByTimeAsync(1)
  expect(keeper.lost.aborted).toBe(true)
  expect(keeper.lost.reason).toMatchObject({ code: 'CONSUMER_CLAIM_LOST' })
})

test('one answer may get lost, not all; an answer that somebody else has it ends it at once', async () => {
  const answers = [unavailable(), undefined, unavailable(), unavailable(), unavailable()]
  const extend = async (): Promise<void> => {
    const answer = answers.shift()
    if (answer !== undefined) throw answer
  }
  const keeper = new LeaseKeeper({ leaseMs, extend })
  await vi.advanceTimersByTimeAsync(leaseMs)
  expect(keeper.lost.aborted).toBe(false)
  await vi.advanceTimersByTimeAsync(leaseMs)
  expect(keeper.lost.aborted).toBe(true)

  const lost = new OutboxError('CONSUMER_CLAIM_LOST', 'taken over')
  const other = new LeaseKeeper({ leaseMs, extend: () => Promise.reject(lost) })
  await vi.advanceTimersByTimeAsync(leaseMs / 3)
  expect(other.lost.reason).toBe(lost)
})
