import { expect, test } from 'vitest'
import { Ledger, type Said } from './ledger.js'

const check = (said: readonly (readonly [Said, ...string[]])[], visible: readonly string[]) => (): void => {
  const ledger = new Ledger()
  for (const [what, ...values] of said) {
    const entry = ledger.begin()
    entry.values.push(...values)
    entry.said = what
  }
  ledger.check(visible)
}

test('what was committed is there once, what was not is not, and of what is unknown there is all or nothing', () => {
  expect(check([['committed', 'a', 'b']], ['b', 'a'])).not.toThrow()
  expect(check([['not-committed', 'a']], [])).not.toThrow()
  expect(check([['open', 'a']], [])).not.toThrow()
  expect(check([['unknown', 'a', 'b']], [])).not.toThrow()
  expect(check([['unknown', 'a', 'b']], ['a', 'b'])).not.toThrow()
})

test('what was refused, or unknown, and then committed is there once or, if it was unknown, at most twice', () => {
  const retried = [['not-committed', 'a'] as const, ['committed', 'a'] as const]
  expect(check(retried, ['a'])).not.toThrow()
  expect(check(retried, ['a', 'a'])).toThrow('in the log more than once: "a"')
  const doubtful = [['unknown', 'a'] as const, ['committed', 'a'] as const]
  expect(check(doubtful, ['a', 'a'])).not.toThrow()
  expect(check(doubtful, [])).toThrow('acknowledged, committed, not in the log: "a"')
})

test.each([
  ['acknowledged, committed, not in the log: "b"', [['committed', 'a', 'b']], ['a']],
  ['not committed, as the client said itself, and visible: "a"', [['not-committed', 'a']], ['a']],
  ['not committed, as the client said itself, and visible: "a"', [['open', 'a']], ['a']],
  ['in the log more than once: "a"', [['committed', 'a']], ['a', 'a']],
  ['in the log, and nobody sent it: "x"', [['committed', 'a']], ['a', 'x']],
  ['a part of a transaction is missing: "b"', [['unknown', 'a', 'b']], ['a']],
  [
    'acknowledged, committed, not in the log: "a", "b", "c" and 1 more',
    [['committed', 'a', 'b', 'c', 'd']],
    [],
  ],
] as const)('it says: %s', (sentence, said, visible) => {
  expect(check(said, visible)).toThrow(sentence)
})
