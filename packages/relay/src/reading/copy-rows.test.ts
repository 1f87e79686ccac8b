import { expect, test } from 'vitest'
import { CopyRows } from './copy-rows.js'

function copyOf(rows: readonly (readonly (string | null)[])[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)]
  const int = (value: number, bytes: 2 | 4): Buffer => {
    const buffer = Buffer.alloc(bytes)
    buffer.writeIntBE(value, 0, bytes)
    return buffer
  }
  for (const row of rows) {
    parts.push(int(row.length, 2))
    for (const field of row)
      parts.push(...(field === null ? [int(-1, 4)] : [int(Buffer.byteLength(field), 4), Buffer.from(field)]))
  }
  parts.push(int(-1, 2))
  return Buffer.concat(parts)
}

test('fields are ranges of the bytes; null and empty differ', () => {
  const rows = new CopyRows(
    copyOf([
      ['ab', null, ''],
      ['', 'x', 'é'],
    ]),
    3,
  )
  const read = (): (string | null)[] =>
    [0, 1, 2].map((field) =>
      (rows.starts[field] ?? -1) < 0
        ? null
        : rows.bytes.toString('utf8', rows.starts[field], rows.ends[field]),
    )
  expect(rows.next()).toBe(true)
  expect(read()).toEqual(['ab', null, ''])
  expect(rows.next()).toBe(true)
  expect(read()).toEqual(['', 'x', 'é'])
  expect(rows.next()).toBe(false)
  expect(rows.next()).toBe(false)
})

test('a row of another shape is refused', () => {
  const rows = new CopyRows(copyOf([['a']]), 2)
  expect(() => rows.next()).toThrow('fields')
})
