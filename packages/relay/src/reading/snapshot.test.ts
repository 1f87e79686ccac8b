import { expect, test } from 'vitest'
import { beginning, endedSince, isEmptyWindow, parseSnapshot } from './snapshot.js'

test('a snapshot is read as PostgreSQL prints it', () => {
  expect(parseSnapshot('10:20:10,12,15')).toMatchObject({ xmin: 10n, xmax: 20n, open: [10n, 12n, 15n] })
  expect(parseSnapshot('18446744073709551610:18446744073709551615:').xmax).toBe(18446744073709551615n)
  expect(beginning.open).toEqual([])
})

test.for(['', '1:2', '1:2:3,', "1:2:3'", '1:2:;drop', ' 1:2:'])(
  '%j is refused: it would reach SQL as a literal',
  (text) => {
    expect(() => parseSnapshot(text)).toThrow(expect.objectContaining({ code: 'KAFKA_PROGRESS_CORRUPT' }))
  },
)

test('a transaction that was open and has ended belongs to the window, one that is still open does not', () => {
  expect(endedSince(parseSnapshot('10:20:10,12,15'), parseSnapshot('12:25:12,22'))).toEqual([10n, 15n])
})

test('a window is empty only when nothing began and nothing ended', () => {
  const from = parseSnapshot('10:20:10')
  expect(isEmptyWindow(from, from)).toBe(true)
  expect(isEmptyWindow(from, parseSnapshot('20:20:'))).toBe(false)
  expect(isEmptyWindow(from, parseSnapshot('10:21:10'))).toBe(false)
})
