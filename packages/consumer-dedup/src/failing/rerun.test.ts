import { expect, test } from 'vitest'
import type { FailureKind } from './failure.js'
import { rerun } from './rerun.js'

const failed = (failure: FailureKind) => ({ kind: 'failed', failure, error: new Error(failure) }) as const
const soon = { minMs: 1, maxMs: 1 }
const never = new AbortController().signal

test('a transaction is run again as often as the database asks, to a bound: what that means then depends on whose statement it was', async () => {
  for (const [failure, inTheEnd] of [
    ['again', 'attempt'],
    ['contended', 'unavailable'],
  ] as const) {
    let runs = 0
    const count = () => Promise.resolve((runs += 1) < 5 ? failed(failure) : ({ kind: 'handled' } as const))
    expect(await rerun(never, count, soon)).toEqual({ kind: 'handled' })
    expect(runs).toBe(5)
    runs = -1_000
    expect(await rerun(never, count, soon)).toMatchObject({ kind: 'failed', failure: inTheEnd })
    expect(runs).toBe(-1_000 + 31)
  }
  expect(await rerun(never, () => Promise.resolve(failed('permanent')))).toMatchObject({
    failure: 'permanent',
  })
})

test('the wait for another run ends when it is not wanted any more', async () => {
  const stopping = new AbortController()
  let runs = 0
  const outcome = rerun(
    stopping.signal,
    () => {
      runs += 1
      queueMicrotask(() => stopping.abort())
      return Promise.resolve(failed('again'))
    },
    { minMs: 3_600_000, maxMs: 3_600_000 },
  )
  expect(await outcome).toMatchObject({ failure: 'again' })
  expect(runs).toBe(1)
})
