import * as api from '@opentelemetry/api'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readTraceContext, writeTraceContext } from './trace-context.js'

const hex = (digits: number): fc.Arbitrary<string> =>
  fc.string({
    unit: fc.constantFrom(...Array.from('0123456789abcdef')),
    minLength: digits,
    maxLength: digits,
  })
const id = (digits: number): fc.Arbitrary<string> => hex(digits).filter((text) => !/^0+$/.test(text))

test('a context that was written is read back', () => {
  fc.assert(
    fc.property(id(32), id(16), fc.integer({ min: 0, max: 255 }), (traceId, spanId, traceFlags) => {
      const headers: Record<string, string> = {}
      writeTraceContext({ traceId, spanId, traceFlags }, headers)
      expect(Object.keys(headers)).toEqual(['traceparent'])
      expect(readTraceContext(api, headers['traceparent'])).toEqual({
        traceId,
        spanId,
        traceFlags,
        isRemote: true,
      })
    }),
  )
})

test('vendor state travels with it, unless it is longer than everybody must carry', () => {
  const context = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 }
  const short: Record<string, string> = {}
  writeTraceContext({ ...context, traceState: api.createTraceState('vendor=1,other=2') }, short)
  expect(short['tracestate']).toBe('vendor=1,other=2')
  expect(readTraceContext(api, short['traceparent'], short['tracestate'])?.traceState?.get('other')).toBe('2')
  const long: Record<string, string> = {}
  const state = api.createTraceState(`a=${'x'.repeat(250)},b=${'x'.repeat(250)},c=${'x'.repeat(250)}`)
  writeTraceContext({ ...context, traceState: state }, long)
  expect(Object.keys(long)).toEqual(['traceparent'])
  expect(readTraceContext(api, long['traceparent'], 'v'.repeat(513))?.traceState).toBeUndefined()
})

test.for([
  '',
  'nonsense',
  `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`,
  `00-${'a'.repeat(32)}-${'0'.repeat(16)}-01`,
  `00-${'A'.repeat(32)}-${'b'.repeat(16)}-01`,
  `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01-more`,
  `ff-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  `00-${'a'.repeat(31)}-${'b'.repeat(16)}-01`,
  `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01\n`,
  ` 00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
])('%j is no context', (traceparent) => {
  expect(readTraceContext(api, traceparent)).toBeUndefined()
})

test('a later version is read as far as it is known', () => {
  expect(readTraceContext(api, `01-${'a'.repeat(32)}-${'b'.repeat(16)}-01-more`)).toMatchObject({
    traceId: 'a'.repeat(32),
  })
})

test('nothing that anybody sends makes reading throw', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (traceparent, tracestate) => {
      readTraceContext(api, traceparent, tracestate)
    }),
  )
})
