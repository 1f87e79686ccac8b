import { expect, test } from 'vitest'
import { age, table } from './table.js'

test('columns are as wide as they must be', () => {
  expect(
    table([
      ['shard', 'events'],
      ['10', '7'],
    ]),
  ).toBe('shard  events\n10     7\n')
})

test.for([
  [0, '0 ms'],
  [999.4, '999 ms'],
  [1_000, '1.0 s'],
  [90_000, '2 min'],
  [5_400_000, '1.5 h'],
  [172_800_000, '2 d'],
] as const)('%d ms is %s', ([ms, text]) => {
  expect(age(ms)).toBe(text)
})
