import { expect, test } from 'vitest'
import { instantOf, whole } from './option-values.js'

const refused = expect.objectContaining({ code: 'CLI_USAGE' })

test.for([
  ['2026-11-26', '2026-11-26T00:00:00.000Z'],
  ['2026-11-26T08:00Z', '2026-11-26T08:00:00.000Z'],
  ['2026-11-26T08:00:00.5+01:00', '2026-11-26T07:00:00.500Z'],
] as const)('%s is %s, wherever it is typed', ([text, instant]) => {
  expect(instantOf('--since', text)?.toISOString()).toBe(instant)
})

// JavaScript takes the first four, the second and third by the zone of the machine.
test.for(['10', '2026-11-26T08:00:00', '11/26/2026', '2026', 'yesterday', '2026-13-01', ''])(
  'a time of %j is refused',
  (text) => {
    expect(() => instantOf('--since', text)).toThrow(refused)
  },
)

test('a whole number is within its bounds', () => {
  expect([whole('--limit', '1', 1, 3), whole('--limit', '3', 1, 3), whole('--limit', undefined)]).toEqual([
    1,
    3,
    undefined,
  ])
  for (const text of ['0', '4', '-1', '1.5', '1e0', '0x1', ' 1', '', 'one', '99999999999999999'])
    expect(() => whole('--limit', text, 1, 3)).toThrow(refused)
})
