import { expect, test } from 'vitest'
import fc from 'fast-check'
import { encodeHeader } from '@oncebox/kafka'
import { EventHeaders } from './cloud-event-headers.js'

const expected = (id: string, ms: number): Buffer =>
  Buffer.concat([encodeHeader('ce_id', id), encodeHeader('ce_time', new Date(ms).toISOString())])

test('id and time are written as a formatter would write them, whatever came before', () => {
  const headers = new EventHeaders()
  fc.assert(
    fc.property(fc.uuid(), fc.integer({ min: 0, max: 253_402_300_799_999 }), (id, ms) => {
      const row = Buffer.concat([Buffer.from([1, 2, 3]), Buffer.from(id.replaceAll('-', ''), 'hex')])
      expect(headers.write(row, 3, ms).equals(expected(id, ms))).toBe(true)
    }),
  )
})
