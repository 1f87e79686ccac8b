import { describe, expect, test } from 'vitest'
import { isTimed, markKeyOf } from './mark-key.js'

const source = 'orders'

describe('the key of a dedup mark', () => {
  test('takes the time out of a UUID v7', () => {
    const id = '01890A5D-AC96-774B-BCCE-B302099A8057'
    expect(markKeyOf({ id, source })).toEqual({
      source,
      id: id.toLowerCase(),
      eventAt: new Date(0x01890a5dac96),
    })
    expect(isTimed(markKeyOf({ id, source }).eventAt)).toBe(true)
  })

  test('has no time without one: what stands in the envelope may differ from copy to copy', () => {
    for (const id of [
      '4f6b6f6e-0b1c-4d7e-8f90-a1b2c3d4e5f6',
      'order-17',
      'ffffffff-ffff-7d7e-8f90-a1b2c3d4e5f6',
    ])
      expect(markKeyOf({ id, source }).eventAt).toEqual(new Date(0))
    expect(isTimed(new Date(0))).toBe(false)
  })

  test('hashes an id that is not a UUID to one that is', () => {
    const key = markKeyOf({ id: 'order-17', source })
    expect(key.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(markKeyOf({ id: 'order-17', source }).id).toBe(key.id)
    expect(markKeyOf({ id: 'order-18', source }).id).not.toBe(key.id)
  })
})
