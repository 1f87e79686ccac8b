import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newConsoleFormat, parseConsoleOutput } from './console-format.js'

const format = newConsoleFormat('word')
const bytes = (...parts: (string | Buffer)[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)))
const { field, header, record, absent } = format

test('reads headers, an absent key, an absent value and a value that holds line ends', () => {
  const output = bytes(
    `CreateTime:17${field}Partition:2${field}Offset:40${field}ce_id:a:b${header}empty:${header}none:${absent}${field}key${field}{"a":\n"ä,"}${record}`,
    `LogAppendTime:18${field}Partition:0${field}Offset:41${field}NO_HEADERS${field}${absent}${field}${absent}${record}`,
  )
  expect(parseConsoleOutput('orders', format, output)).toEqual([
    {
      topic: 'orders',
      partition: 2,
      offset: 40,
      timestampMs: 17,
      key: 'key',
      headers: new Map<string, string | null>([
        ['ce_id', 'a:b'],
        ['empty', ''],
        ['none', null],
      ]),
      value: Buffer.from('{"a":\n"ä,"}'),
    },
    {
      topic: 'orders',
      partition: 0,
      offset: 41,
      timestampMs: 18,
      key: null,
      headers: new Map(),
      value: null,
    },
  ])
})

test('gives back any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.string({ unit: 'binary' }), (value, key) => {
      const output = bytes(
        `CreateTime:1${field}Partition:0${field}Offset:0${field}NO_HEADERS${field}`,
        key,
        field,
        Buffer.from(value),
        record,
      )
      const [read] = parseConsoleOutput('t', format, output)
      expect(read?.value).toEqual(Buffer.from(value))
      expect(read?.key).toBe(Buffer.from(key).toString())
    }),
  )
})

test('nothing is no record', () => {
  expect(parseConsoleOutput('orders', format, Buffer.alloc(0))).toEqual([])
})

test('refuses a record that was cut off, and foreign lines, rather than guess', () => {
  const cut = bytes(`CreateTime:1${field}Partition:0${field}Offset:0${field}NO_HEADERS${field}key${field}val`)
  expect(() => parseConsoleOutput('orders', format, cut)).toThrow(/ends inside a record/)
  expect(() => parseConsoleOutput('orders', format, bytes(`ERROR something${record}`))).toThrow(
    /not a record/,
  )
})
