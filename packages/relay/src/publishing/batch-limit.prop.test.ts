import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BatchLimit } from './batch-limit.js'

/** Publishes rows 0 to `rows` - 1 as a relay does, to a broker that refuses every batch with a poison row in it. */
function publish(rows: number, poison: ReadonlySet<number>, max: number) {
  const limit = new BatchLimit(max)
  const published: number[] = []
  const setAside: number[] = []
  let transactions = 0
  for (let at = 0; at < rows;) {
    const batch = Array.from({ length: Math.min(limit.rows, rows - at) }, (_, index) => at + index)
    transactions++
    if (!batch.some((row) => poison.has(row))) {
      published.push(...batch)
      limit.committed()
    } else if (batch.length > 1) {
      limit.refused(batch.length)
      continue
    } else {
      setAside.push(...batch)
      limit.committed()
    }
    at += batch.length
  }
  return { published, setAside, transactions }
}

const cases = fc.integer({ min: 1, max: 400 }).chain((rows) =>
  fc.record({
    rows: fc.constant(rows),
    poison: fc.uniqueArray(fc.integer({ min: 0, max: rows - 1 })).map((list) => new Set(list)),
    max: fc.integer({ min: 1, max: 500 }),
  }),
)

test('exactly the poison rows are set aside, and all others are published in order', () => {
  fc.assert(
    fc.property(cases, ({ rows, poison, max }) => {
      const { published, setAside } = publish(rows, poison, max)
      expect(setAside).toEqual([...poison].sort((a, b) => a - b))
      expect(published).toEqual(
        Array.from({ length: rows }, (_, row) => row).filter((row) => !poison.has(row)),
      )
    }),
    { numRuns: 1_000 },
  )
})

test('what a poison row costs in transactions is bounded by the logarithm of a batch', () => {
  fc.assert(
    fc.property(cases, ({ rows, poison, max }) => {
      const { transactions } = publish(rows, poison, max)
      const perPoison = 3 * (Math.ceil(Math.log2(max + 1)) + 1)
      expect(transactions).toBeLessThanOrEqual(Math.ceil(rows / max) + poison.size * perPoison)
    }),
    { numRuns: 1_000 },
  )
})
