import { describe, expect, test } from 'vitest'
import { markKeyOf } from './mark-key.js'

const source = 'orders'

describe('the key of a dedup mark', () => {
  test('takes the time out of a UUID v7, whatever the emitter says', () => {
    const id = '01890A5D-AC96-774B-BCCE-B302099A8057'
    expect(markKeyOf({ id, source, time: '2001-01-01T00:00:00.000Z' })).toEqual({
      source,
      id: id.toLowerCase(),
      eventAt: new Date(0x01890a5dac96),
    })
  })

  test('falls back to the emitter’s time, then to the epoch', () => {
    const id = '4f6b6f6e-0b1c-4d7e-8f90-a1b2c3d4e5f6'
    expect(markKeyOf({ id, source, time: '2026-02-03T04:05:06.007Z' }).eventAt.toISOString()).toBe(
      '2026-02-03T04:05:06.007Z',
    )
    expect(markKeyOf({ id, source, time: 'yesterday' }).eventAt.getTime()).toBe(0)
    expect(markKeyOf({ id, source, time: '-002026-01-01T00:00:00Z' }).eventAt.getTime()).toBe(0)
  })

  test('hashes an id that is not a UUID to one that is', () => {
    const key = markKeyOf({ id: 'order-17', source, time: '' })
    expect(key.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(markKeyOf({ id: 'order-17', source, time: '' }).id).toBe(key.id)
    expect(markKeyOf({ id: 'order-18', source, time: '' }).id).not.toBe(key.id)
  })
})
