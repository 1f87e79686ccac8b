import type { Ground } from '@oncebox/conformance'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { groundOf, mutant, verdictOn } from './fixture.js'

let ground: Ground

beforeAll(async () => {
  ground = await groundOf('4.3')
})
afterAll(() => ground[Symbol.asyncDispose]())

test.each([
  ['resends-what-is-unknown', 'lost-endtxn-answer-on-commit', 'in the log more than once'],
  ['publishes-without-sequences', 'lost-produce-answer-then-retry', 'in the log more than once'],
  ['takes-everything-for-committed', 'zombie-at-commit', 'says that its transaction was committed'],
  ['takes-its-id-back', 'zombie-at-produce', 'was committed, it says'],
  [
    'ignores-aborts',
    'reading-two-aborts-of-one-producer',
    'delivered although it was aborted: 3 records, the first "first aborted"',
  ],
  [
    'publishes-without-sequences',
    'lost-endtxn-answer-on-abort',
    'not committed, as the client said itself, and visible',
  ],
  ['dies', 'lost-endtxn-answer-on-commit', "the client's process ended with exit code 7"],
])('a client that %s fails %s', async (name, caseName, sentence) => {
  expect(await verdictOn(caseName, mutant(name), ground)).toEqual({
    kind: 'fail',
    sentence: expect.stringContaining(sentence),
  })
})

test('a client that never ends is stuck, and the suite goes on', async () => {
  expect(await verdictOn('restart', mutant('never-ends'), ground, 3_000)).toEqual({
    kind: 'fail',
    sentence: expect.stringContaining('stuck: commit did not end within 3 s'),
  })
})
