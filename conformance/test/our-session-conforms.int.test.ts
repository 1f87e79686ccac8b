import { kafkaVersions, type Ground } from '@oncebox/conformance'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { groundOf, ours, verdictOn } from './fixture.js'

// Those that take seconds, and of these on 3.9 the ones in which its protocol differs. All of them, on one, two and three
// brokers: pnpm conformance --client oncebox.
const quick = {
  '4.3': [
    'lost-produce-answer-then-abort',
    'lost-endtxn-answer-on-commit',
    'late-endtxn',
    'late-produce',
    'zombie-at-offsets',
    'one-of-six-partitions',
    'reading-overlapping-aborts',
  ],
  '3.9': [
    'lost-endtxn-answer-on-commit',
    'late-endtxn',
    'late-produce',
    'zombie-at-offsets',
    'zombie-at-commit',
  ],
} as const

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  let ground: Ground

  beforeAll(async () => {
    ground = await groundOf(version)
  })
  afterAll(() => ground[Symbol.asyncDispose]())

  test.each(quick[version])('our session keeps the promise of %s', async (name) => {
    expect(await verdictOn(name, await ours(), ground)).toMatchObject({ kind: 'pass' })
  })
})
