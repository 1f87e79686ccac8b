import { describe, expect, test } from 'vitest'

/**
 * Why a start initialises a, then b, and claims on a: every interleaving of two starts of one shard, each of which
 * then reads the position and publishes one batch on one of the two ids. A step on an id that another start has
 * initialised since is refused, and its start ends there. Bad: both published the same position.
 */
type Id = 'a' | 'b'
type Step =
  | { readonly does: 'initialise' | 'claim' | 'produce' | 'commit'; readonly id: Id }
  | { readonly does: 'read' }

interface World {
  readonly next: readonly [number, number]
  readonly running: readonly [boolean, boolean]
  readonly owner: Readonly<Partial<Record<Id, number>>>
  readonly read: readonly [number, number]
  readonly published: readonly number[]
}

const replace = <Value>(pair: readonly [Value, Value], at: 0 | 1, value: Value): [Value, Value] =>
  at === 0 ? [value, pair[1]] : [pair[0], value]

function take(world: World, who: 0 | 1, step: Step): World {
  const moved = { ...world, next: replace(world.next, who, world.next[who] + 1) }
  if (step.does === 'read')
    return { ...moved, read: replace(world.read, who, Math.max(0, ...world.published)) }
  if (step.does === 'initialise') return { ...moved, owner: { ...world.owner, [step.id]: who } }
  if (world.owner[step.id] !== who) return { ...moved, running: replace(world.running, who, false) }
  return step.does === 'commit' ? { ...moved, published: [...world.published, world.read[who] + 1] } : moved
}

function explore(
  starts: readonly [readonly Step[], readonly Step[]],
  world: World,
): { bad: number; all: number } {
  let found = { bad: 0, all: 0 }
  let stuck = true
  for (const who of [0, 1] as const) {
    const step = starts[who][world.next[who]]
    if (step === undefined || !world.running[who]) continue
    stuck = false
    const below = explore(starts, take(world, who, step))
    found = { bad: found.bad + below.bad, all: found.all + below.all }
  }
  return stuck ? { bad: new Set(world.published).size < world.published.length ? 1 : 0, all: 1 } : found
}

const fresh: World = { next: [0, 0], running: [true, true], owner: {}, read: [0, 0], published: [] }

/** Sums up over the ids that the two batches may be published on. */
function outcomes(beforeBatch: readonly Step[]): { bad: number; all: number } {
  const start = (id: Id): readonly Step[] => [...beforeBatch, { does: 'produce', id }, { does: 'commit', id }]
  const pairs = (['a', 'b'] as const).flatMap((one) =>
    (['a', 'b'] as const).map((other) => [start(one), start(other)] as const),
  )
  return pairs
    .map((pair) => explore(pair, fresh))
    .reduce((sum, { bad, all }) => ({ bad: sum.bad + bad, all: sum.all + all }))
}

const initialise: readonly Step[] = [
  { does: 'initialise', id: 'a' },
  { does: 'initialise', id: 'b' },
]
const claimOn = (id: Id): Step => ({ does: 'claim', id })
const read: Step = { does: 'read' }

describe('two crossed starts of one shard', () => {
  test('never publish the same position when each initialises a, then b, and claims on a', () => {
    expect(outcomes([...initialise, claimOn('a'), read])).toEqual({ bad: 0, all: 516 })
  })

  test('publish it twice when the claim is on b', () => {
    expect(outcomes([...initialise, claimOn('b'), read])).toEqual({ bad: 90, all: 1_076 })
  })

  test('publish it twice without a claim', () => {
    expect(outcomes([...initialise, read])).toEqual({ bad: 60, all: 550 })
  })
})
