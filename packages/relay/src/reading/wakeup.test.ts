import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { channels } from '@oncebox/core'
import { WakeSignal } from './wake-signal.js'
import { Wakeup } from './wakeup.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const never = new AbortController().signal

/** How long one wait takes, milliseconds. */
async function waited(wakeup: Wakeup): Promise<number> {
  const before = Date.now()
  const done = wakeup.wait(never)
  await vi.advanceTimersToNextTimerAsync()
  await done
  return Date.now() - before
}

async function waits(wakeup: Wakeup, count: number): Promise<number[]> {
  const all: number[] = []
  for (let index = 0; index < count; index++) all.push(await waited(wakeup))
  return all
}

test('waits are the shortest for some polls after something was found, then they double up to the longest', async () => {
  using wakeup = new Wakeup({ idleMsMin: 1, idleMsMax: 50 })
  expect(await waits(wakeup, 15)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 50, 50])
  wakeup.reset()
  expect(await waited(wakeup)).toBe(1)
})

test('without a shortest wait it looks again at once, and still slows down', async () => {
  using wakeup = new Wakeup({ idleMsMin: 0, idleMsMax: 4 })
  const all = await waits(wakeup, 12)
  expect(all.slice(8)).toEqual([1, 2, 4, 4])
})

test('a commit in this process and a signal end the wait at once; one that comes early is not forgotten', async () => {
  const signal = new WakeSignal()
  using wakeup = new Wakeup({ idleMsMin: 1_000, idleMsMax: 60_000 }, signal)
  const byCommit = wakeup.wait(never)
  channels.outboxCommitted.publish({ source: 'test', events: 1 })
  await byCommit
  const bySignal = wakeup.wait(never)
  signal.fire()
  await bySignal
  signal.fire()
  await wakeup.wait(never)
  expect(await waited(wakeup)).toBe(1_000)
})

test('an aborted signal ends the wait', async () => {
  using wakeup = new Wakeup({ idleMsMin: 1_000, idleMsMax: 60_000 })
  const stopping = new AbortController()
  const waiting = wakeup.wait(stopping.signal)
  stopping.abort()
  await waiting
})
