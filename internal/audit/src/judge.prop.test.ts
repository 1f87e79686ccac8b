import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CommittedEvent, Sighting } from './history.js'
import { judge } from './judge.js'

/** The definitions, written down once more with no thought for speed. */
function bruteForce(committed: readonly CommittedEvent[], seen: readonly Sighting[]): Record<string, number> {
  const known = (sighting: Sighting): CommittedEvent | undefined =>
    committed.find(({ id }) => id === sighting.id)
  const isFirst = (row: number): boolean => !seen.slice(0, row).some(({ id }) => id === seen[row]?.id)
  const firsts = seen.filter((sighting, row) => known(sighting) !== undefined && isFirst(row))
  return {
    lost: committed.filter(({ id }) => !seen.some((sighting) => sighting.id === id)).length,
    phantom: seen.filter((sighting) => known(sighting) === undefined).length,
    duplicated: seen.filter((sighting, row) => known(sighting) !== undefined && !isFirst(row)).length,
    reordered: firsts.filter((late, row) =>
      firsts
        .slice(0, row)
        .some(
          (early) =>
            known(early)?.key !== null &&
            known(early)?.key === known(late)?.key &&
            (known(early)?.version ?? 0) > (known(late)?.version ?? 0),
        ),
    ).length,
    corrupt: seen.filter((sighting) => {
      const event = known(sighting)
      return event !== undefined && (event.key !== sighting.key || event.version !== sighting.version)
    }).length,
    misplaced: seen.filter((sighting, row) => {
      const event = known(sighting)
      if (event === undefined || event.key === null || sighting.partition === undefined) return false
      const home = seen.find(
        (other, at) => at <= row && other.partition !== undefined && known(other)?.key === event.key,
      )
      return home?.partition !== sighting.partition
    }).length,
  }
}

const key = fc.constantFrom('a', 'b', null)
const event = fc.record({
  id: fc.constantFrom('1', '2', '3', '4', '5', '6', '7', '8'),
  key,
  version: fc.integer({ min: 1, max: 4 }),
})
const history = fc.uniqueArray(event, { selector: ({ id }) => id, maxLength: 8 }).chain((committed) => {
  const fromTruth =
    committed.length === 0 ? event : fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...committed) }, event)
  const sighting = fc
    .tuple(fromTruth, fc.constantFrom(0, 1))
    .map(([each, partition]) => ({ ...each, partition, at: 'row' }))
  const unplaced = fromTruth.map((each) => ({ ...each, at: 'row' }))
  return fc.record({
    committed: fc.constant(committed),
    seen: fc.array(fc.oneof(sighting, unplaced), { maxLength: 12 }),
  })
})

test('agrees with the brute force on any small history', () => {
  fc.assert(
    fc.property(history, ({ committed, seen }) => {
      const { totals, ok } = judge({ committed, published: seen })
      expect(totals).toEqual(bruteForce(committed, seen))
      expect(ok).toBe(Object.values(totals).every((count) => count === 0))
    }),
    { numRuns: 2_000 },
  )
})

test('any shuffle that keeps the order of each key is clean', () => {
  const keys = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 60 })
  fc.assert(
    fc.property(keys, (order) => {
      const versions = new Map<number, number>()
      const events = order.map((name) => {
        const version = (versions.get(name) ?? 0) + 1
        versions.set(name, version)
        return { id: `${name}.${version}`, key: String(name), version }
      })
      const committed = [...events].sort((one, other) => one.id.localeCompare(other.id))
      expect(judge({ committed, published: events.map((each) => ({ ...each, at: '' })) }).ok).toBe(true)
    }),
  )
})
