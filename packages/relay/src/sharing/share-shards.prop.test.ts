import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planShare, type SharingView } from './share-shards.js'

const view = fc
  .record({
    members: fc.integer({ min: 1, max: 6 }),
    holders: fc.array(fc.integer({ min: -1, max: 5 }), { maxLength: 12 }),
  })
  .map(({ members, holders }): SharingView => ({
    members: Array.from({ length: members }, (_, member) => `relay-${member}`),
    shards: holders.map((holder, shard) => ({
      shard,
      holder: holder >= 0 && holder < members ? `relay-${holder}` : undefined,
    })),
  }))

/** One round in which everybody sees the same, gives back, and claims. */
function round({ members, shards }: SharingView): SharingView {
  const plans = members.map((member) => ({ member, ...planShare({ members, shards }, member) }))
  return {
    members,
    shards: shards.map(({ shard, holder }) => ({
      shard,
      holder:
        holder === undefined
          ? plans.find(({ claim }) => claim.includes(shard))?.member
          : plans.some(({ release }) => release.includes(shard))
            ? undefined
            : holder,
    })),
  }
}

describe('relay processes that share shards', () => {
  test('never claim the same one when they see the same, nor one that somebody holds', () => {
    fc.assert(
      fc.property(view, (seen) => {
        const claimed = seen.members.flatMap((member) => planShare(seen, member).claim)
        expect(new Set(claimed).size).toBe(claimed.length)
        for (const shard of claimed) expect(seen.shards[shard]?.holder).toBeUndefined()
      }),
    )
  })

  test('have every shard in equal shares after a few rounds, and then nothing moves any more', () => {
    fc.assert(
      fc.property(view, (seen) => {
        const settled = round(round(round(seen)))
        const counts = settled.members.map(
          (member) => settled.shards.filter(({ holder }) => holder === member).length,
        )
        expect(settled.shards.every(({ holder }) => holder !== undefined)).toBe(true)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        for (const member of settled.members)
          expect(planShare(settled, member)).toEqual({ claim: [], release: [] })
      }),
    )
  })

  test('keep what they hold when a newcomer gets his share', () => {
    const shards = [0, 1, 2, 3].map((shard) => ({ shard, holder: shard < 2 ? 'a' : 'b' }))
    const members = ['a', 'b', 'c']
    expect(members.map((member) => planShare({ members, shards }, member).release)).toEqual([[], [3], []])
  })
})
