import { describe, expect, test } from 'vitest'
import { Deadline } from './deadline.js'

const never = new Promise<never>(() => undefined)

describe('a deadline', () => {
  test('ends what waits for something that never comes', async () => {
    using deadline = new Deadline(5, 'waiting')
    await expect(deadline.race(never)).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
    await expect(deadline.delay(1)).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
    expect([deadline.expired, deadline.remainingMs]).toEqual([true, 0])
  })

  test('passes the reason of the caller on', async () => {
    const caller = new AbortController()
    using deadline = new Deadline(60_000, 'waiting', caller.signal)
    const waiting = deadline.race(never)
    caller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    using late = new Deadline(60_000, 'waiting', caller.signal)
    expect(() => late.throwIfExpired()).toThrow('enough')
  })

  test('leaves what comes in time alone', async () => {
    using deadline = new Deadline(60_000, 'waiting')
    expect(await deadline.race(Promise.resolve(7))).toBe(7)
    await expect(deadline.race(Promise.reject(new Error('own')))).rejects.toThrow('own')
  })
})
