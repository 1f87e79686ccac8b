import { describe, expect, test } from 'vitest'
import { Reader } from './reader.js'
import { Writer } from './writer.js'

describe('a request body', () => {
  test('is read back as it was written, however often the buffer grew', () => {
    const topicId = '01890a5d-ac96-774b-bcce-b302099a8057'
    const names = Array.from({ length: 200 }, (_, index) => `topic-${index}`)
    const writer = new Writer().int8(-1).int16(-2).int32(-3).int64(-4n).boolean(true).uuid(topicId)
    writer
      .compactArray(names, (name) => writer.compactString(name))
      .compactString(null)
      .noTags()
    const reader = new Reader(Buffer.concat(writer.chunks()))
    expect([reader.int8(), reader.int16(), reader.int32(), reader.int64(), reader.boolean()]).toEqual([
      -1,
      -2,
      -3,
      -4n,
      true,
    ])
    expect(reader.uuid()).toBe(topicId)
    expect(reader.compactArray(() => reader.compactString())).toEqual(names)
    expect(reader.compactNullableString()).toBeNull()
    reader.tags()
    expect(reader.remaining).toBe(0)
  })

  test('carries record batches by reference, in their place', () => {
    const batch = Buffer.from('a record batch')
    const chunks = new Writer().int8(1).compactRecords(batch).int8(2).chunks()
    expect(chunks[1]).toBe(batch)
    expect(Buffer.concat(chunks)).toEqual(
      Buffer.concat([Buffer.from([1, batch.length + 1]), batch, Buffer.from([2])]),
    )
  })

  test('that is cut off is refused instead of read as something else', () => {
    expect(() => new Reader(Buffer.from([0, 0])).int32()).toThrow(RangeError)
    expect(() => new Reader(Buffer.from([0xff])).unsignedVarint()).toThrow(RangeError)
    expect(() => new Reader(Buffer.from([9, 65])).compactString()).toThrow(RangeError)
  })
})
