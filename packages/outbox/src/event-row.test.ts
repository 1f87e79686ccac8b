import { bucketOf, bytes, defineTopic, text } from '@oncebox/core'
import { version } from 'uuid'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { eventRow, keyBytesMax, type EventRow } from './event-row.js'
import type { EmitOptions } from './event-types.js'

const topic = defineTopic('orders', {
  key: (order) => `${order.id}/${order.at.getTime()}`,
  events: { placed: z.object({ id: z.string(), at: z.coerce.date() }) },
  payloadBytesMax: 100,
})
const anything = defineTopic('anything', { events: { happened: z.unknown() } })
const payload = { id: 'a', at: new Date(5) }
const row = (options: EmitOptions = {}, given: unknown = payload): EventRow =>
  eventRow(topic, 'placed', given, options) as EventRow
const throwing = (code: string, message?: RegExp) =>
  expect.objectContaining({
    code,
    ...(message === undefined ? {} : { message: expect.stringMatching(message) }),
  })

describe('payload', () => {
  test('travels as given; the key is computed from what a consumer reads back', () => {
    const { payload: encoded, key, bucket, id } = row()
    expect(Buffer.from(encoded ?? []).toString()).toBe('{"id":"a","at":"1970-01-01T00:00:00.005Z"}')
    expect(key).toBe('a/5')
    expect(bucket).toBe(bucketOf('a/5'))
    expect(version(id)).toBe(7)
  })

  test('is validated in its decoded form: what JSON loses is missed', () => {
    const exact = defineTopic('exact', { events: { e: z.object({ at: z.date() }) } })
    expect(() => eventRow(exact, 'e', { at: new Date() }, {})).toThrow(
      throwing('OUTBOX_PAYLOAD_INVALID', /at: /),
    )
  })

  test('that is refused names issues, and never a value', () => {
    const error = (() => {
      try {
        return row({}, { id: 5, at: 'secret' })
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error).toMatchObject({
      code: 'OUTBOX_PAYLOAD_INVALID',
      details: { type: 'placed', issues: [{ path: 'id' }, { path: 'at' }] },
    })
    expect(JSON.stringify(error)).not.toContain('secret')
  })

  test('that the codec cannot encode is invalid, with the cause', () => {
    for (const given of [undefined, 1n, () => 1, Symbol('x')]) {
      expect(() => eventRow(anything, 'happened', given, {})).toThrow(throwing('OUTBOX_PAYLOAD_INVALID'))
    }
  })

  test('may have as many bytes as the topic allows, and no more', () => {
    const sized = defineTopic('sized', { events: { e: z.string() }, codec: text, payloadBytesMax: 4 })
    expect(() => eventRow(sized, 'e', 'äöü', {})).toThrow(
      throwing('OUTBOX_PAYLOAD_TOO_LARGE', /6 bytes.*takes 4/),
    )
    expect(eventRow(sized, 'e', 'äö', {})).toMatchObject({ topic: 'sized' })
  })

  test('of bytes is copied: the caller may reuse the buffer', () => {
    const raw = defineTopic('raw', { events: { e: z.instanceof(Uint8Array) }, codec: bytes })
    const buffer = new Uint8Array([1, 2])
    const stored = eventRow(raw, 'e', buffer, {}) as EventRow
    buffer[0] = 9
    expect(stored.payload).toEqual(new Uint8Array([1, 2]))
  })

  test('null is a tombstone and needs a key', () => {
    expect(row({ key: 'k' }, null)).toMatchObject({ key: 'k', payload: null, bucket: bucketOf('k') })
    for (const options of [{}, { key: null }])
      expect(() => row(options, null)).toThrow(throwing('OUTBOX_OPTIONS_INVALID', /tombstone/))
  })

  test('of a schema that validates later is a promise', async () => {
    const later = defineTopic('later', {
      events: { e: z.string().refine(async (value) => value === 'good') },
    })
    await expect(eventRow(later, 'e', 'good', {})).resolves.toMatchObject({ type: 'e' })
    await expect(eventRow(later, 'e', 'bad', {})).rejects.toMatchObject({ code: 'OUTBOX_PAYLOAD_INVALID' })
  })
})

describe('options', () => {
  test('a key given replaces the computed one; null means none', () => {
    expect(row({ key: 'k' }).key).toBe('k')
    expect(row({ key: null }).key).toBeNull()
  })

  test.each(['a\0b', '\ud800', 'x'.repeat(keyBytesMax + 1)])(
    'a key that cannot be stored is refused',
    (key) => {
      expect(() => row({ key })).toThrow(throwing('OUTBOX_OPTIONS_INVALID', /key/))
    },
  )

  test('a key as large as allowed, and one with whole surrogate pairs, is taken', () => {
    expect(row({ key: 'x'.repeat(keyBytesMax) }).key).toHaveLength(keyBytesMax)
    expect(row({ key: '🙂' }).key).toBe('🙂')
  })

  test.each([-1, 1.5, Number.NaN, 2 ** 31])('partition %d is refused', (partition) => {
    expect(() => row({ partition })).toThrow(throwing('OUTBOX_OPTIONS_INVALID', /partition/))
  })

  test('headers become JSON; none are null', () => {
    expect(row({ headers: { a: '1', ['__proto__']: 'x' } }).headers).toBe('{"a":"1","__proto__":"x"}')
    expect(row({ headers: {} }).headers).toBeNull()
  })

  test.each([
    { ce_id: 'x' },
    { oncebox_attempt: '1' },
    { 'content-type': 'x' },
    { '': 'x' },
    { a: 'b\0' },
    { 'a\ud800': 'b' },
    { a: 'x'.repeat(65_536) },
    Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`h${n}`, 'v'])),
  ])('headers %j are refused', (headers) => {
    expect(() => row({ headers })).toThrow(throwing('OUTBOX_OPTIONS_INVALID', /header/))
  })

  test('occurredAt keeps its milliseconds; an invalid date is refused', () => {
    expect(row({ occurredAt: new Date(1) }).occurredAt).toBe('1970-01-01T00:00:00.001Z')
    for (const occurredAt of [new Date(Number.NaN), new Date(8.64e15)]) {
      expect(() => row({ occurredAt })).toThrow(throwing('OUTBOX_OPTIONS_INVALID', /occurredAt/))
    }
  })
})

test('a payload that is not JSON says so in its content type, beside the headers given', () => {
  const words = defineTopic('words', { codec: text, events: { said: z.string() } })
  const said = (options: EmitOptions): EventRow => eventRow(words, 'said', 'hello', options) as EventRow
  expect(said({}).headers).toBe('{"content-type":"text/plain; charset=utf-8"}')
  expect(said({ headers: { a: 'b' } }).headers).toBe('{"a":"b","content-type":"text/plain; charset=utf-8"}')
  expect(row().headers).toBeNull()
})
