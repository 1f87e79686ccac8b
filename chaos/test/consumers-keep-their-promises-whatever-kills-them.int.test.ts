import { expect, test } from 'vitest'
import { consumerExperiment } from '../src/consumer/consumer-experiment.js'

test('two seeds of each mode: killed in each crash window and at other times', async ({ signal }) => {
  const { ok, lines } = await consumerExperiment.run({
    values: { seeds: '2', first: String(1 + Math.floor(Math.random() * 1_000_000)) }, // named where one breaks a promise
    say: () => undefined,
    signal,
  })
  expect(ok, lines.join('\n')).toBe(true)
})
