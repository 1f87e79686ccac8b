import { describe, expect, test } from 'vitest'
import { assertSupported, isDurable } from './server.js'

const run = 'a'.repeat(40)
const unsupported = expect.objectContaining({ code: 'CONSUMER_REDIS_UNSUPPORTED' })

describe('a server', () => {
  test.each(['6.2.0', '7.0.15', '8.0.0', '10.1.2'])('of version %s is taken', (version) => {
    expect(() => assertSupported({ version, run })).not.toThrow()
  })

  test.each(['6.1.9', '5.0.14', '2.8.0', '', 'x.y'])('of version %j is refused', (version) => {
    expect(() => assertSupported({ version, run })).toThrow(unsupported)
  })

  test('that does not name its run is refused', () => {
    expect(() => assertSupported({ version: '7.2.4', run: '' })).toThrow(unsupported)
  })
})

describe('durability', () => {
  const settings = { appendonly: 'yes', appendfsync: 'always', 'no-appendfsync-on-rewrite': 'no' }
  test('is all three settings', () => {
    expect(isDurable(Object.entries(settings).flat())).toBe(true)
    for (const [name, value] of [
      ['appendonly', 'no'],
      ['appendfsync', 'everysec'],
      ['no-appendfsync-on-rewrite', 'yes'],
    ] as const)
      expect(isDurable(Object.entries({ ...settings, [name]: value }).flat())).toBe(false)
  })

  test('is not what nobody has told', () => {
    for (const answer of [[], undefined, ['appendfsync', 'always'], {}]) expect(isDurable(answer)).toBe(false)
  })
})
