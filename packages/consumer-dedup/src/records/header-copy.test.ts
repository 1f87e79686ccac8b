import { expect, test } from 'vitest'
import { copyHeaders, readHeaderCopies } from './header-copy.js'

test('headers survive the copy byte for byte, readable where they are text', () => {
  const bytes = [
    Buffer.from('plain'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('a\u0000b'),
    Buffer.from('\uFEFFbom'),
  ]
  const copies = copyHeaders({ text: bytes[0], several: bytes, absent: undefined })

  expect(copies['text']).toEqual(['plain'])
  expect(JSON.stringify(copies)).not.toContain('\\u0000')
  expect(readHeaderCopies(copies)).toEqual({ text: [bytes[0]], several: bytes })
})
