import { expect, test } from 'vitest'
import type { History, Sighting } from './history.js'
import { judge } from './judge.js'
import { describeVerdict, type Anomaly } from './verdict.js'

// Doctored histories: `a1` is version 1 of key a. One per anomaly, and the harmless thing that looks most like it.
const event = (id: string) => ({ id, key: id.slice(0, 1), version: Number(id.slice(1)) })
const seen = (...ids: string[]): Sighting[] => ids.map((id, row) => ({ ...event(id), at: `row ${row}` }))
const committed = (...ids: string[]) => ids.map(event)
const truth = committed('a1', 'a2', 'a3', 'b1', 'b2')

const found = (history: History): Partial<Record<Anomaly, number>> =>
  Object.fromEntries(Object.entries(judge(history).totals).filter(([, count]) => count > 0))

test.each<[string, string[], Partial<Record<Anomaly, number>>]>([
  ['all of it, in order', ['a1', 'a2', 'a3', 'b1', 'b2'], {}],
  ['keys interleaved: no order is promised between keys', ['b1', 'a1', 'b2', 'a2', 'a3'], {}],
  ['one missing', ['a1', 'a2', 'b1', 'b2'], { lost: 1 }],
  ['a gap in the middle is a loss, not a reordering', ['a1', 'a3', 'b1', 'b2'], { lost: 1 }],
  ['everything missing', [], { lost: 5 }],
  ['one twice in a row', ['a1', 'a1', 'a2', 'a3', 'b1', 'b2'], { duplicated: 1 }],
  ['a late copy is a duplicate and no reordering', ['a1', 'a2', 'a3', 'a1', 'b1', 'b2'], { duplicated: 1 }],
  ['three copies are two too many', ['a1', 'a1', 'a1', 'a2', 'a3', 'b1', 'b2'], { duplicated: 2 }],
  ['two neighbours swapped', ['a2', 'a1', 'a3', 'b1', 'b2'], { reordered: 1 }],
  ['one late: it alone is out of order', ['a2', 'a3', 'a1', 'b1', 'b2'], { reordered: 1 }],
  ['one early: all that it overtook are out of order', ['a3', 'a1', 'a2', 'b1', 'b2'], { reordered: 2 }],
  ['reversed', ['a3', 'a2', 'a1', 'b2', 'b1'], { reordered: 3 }],
  [
    'lost here and doubled there do not cancel out',
    ['a1', 'a1', 'a3', 'b1', 'b2'],
    { lost: 1, duplicated: 1 },
  ],
  ['an event nobody committed', ['a1', 'a2', 'a3', 'c1', 'b1', 'b2'], { phantom: 1 }],
  [
    'a version nobody committed does not put the others out of order',
    ['a9', 'a1', 'a2', 'a3', 'b1', 'b2'],
    { phantom: 1 },
  ],
  ['a phantom twice is two phantoms', ['c1', 'c1', 'a1', 'a2', 'a3', 'b1', 'b2'], { phantom: 2 }],
])('%s', (_, ids, expected) => {
  expect(found({ committed: truth, published: seen(...ids) })).toEqual(expected)
  expect(found({ committed: truth, effects: { payment: seen(...ids) } })).toEqual(expected)
})

test('nothing committed and nothing seen is a clean history', () => {
  expect(judge({ committed: [], published: [], effects: { mails: [] } })).toMatchObject({
    ok: true,
    committed: 0,
  })
})

test('places are judged apart: a topic that is right does not excuse a consumer that is not', () => {
  const history = {
    committed: truth,
    published: seen('a1', 'a2', 'a3', 'b1', 'b2'),
    effects: { good: seen('b1', 'b2', 'a1', 'a2', 'a3'), bad: seen('a1', 'a2', 'a3') },
  }
  const verdict = judge(history)
  expect(verdict.ok).toBe(false)
  expect(verdict.places.map(({ place, lost }) => [place, lost.count])).toEqual([
    ['topics', 0],
    ['good', 0],
    ['bad', 2],
  ])
})

test('a consumer owes effects only for its own events, and others there are phantoms', () => {
  const own = [
    { ...event('a1'), consumers: ['payment'] },
    { ...event('a2'), consumers: [] },
  ]
  expect(found({ committed: own, effects: { payment: seen('a1') } })).toEqual({})
  expect(found({ committed: own, effects: { payment: seen('a1', 'a2') } })).toEqual({ phantom: 1 })
  expect(found({ committed: own, effects: { payment: [] } })).toEqual({ lost: 1 })
})

test('versions that are equal are no inversion: two events of one transaction', () => {
  const pair = [
    { id: 'x', key: 'a', version: 1 },
    { id: 'y', key: 'a', version: 1 },
  ]
  expect(
    found({ committed: pair, published: [...pair].reverse().map((each) => ({ ...each, at: '' })) }),
  ).toEqual({})
})

test('events without a key have no order', () => {
  const loose = [
    { id: 'x', key: null, version: 1 },
    { id: 'y', key: null, version: 2 },
  ]
  expect(
    found({ committed: loose, published: [...loose].reverse().map((each) => ({ ...each, at: '' })) }),
  ).toEqual({})
})

test('a key that leaves its partition is misplaced, whether the truth names the partition or not', () => {
  const at = (partition: number, id: string): Sighting => ({
    ...event(id),
    partition,
    at: `orders-${partition}`,
  })
  const published = [at(1, 'a1'), at(1, 'a2'), at(2, 'a3'), at(2, 'b1'), at(2, 'b2')]
  expect(found({ committed: truth, published })).toEqual({ misplaced: 1 })
  expect(found({ committed: truth.map((each) => ({ ...each, partition: 1 })), published })).toEqual({
    misplaced: 3,
  })
})

test('another version or key than was committed is corrupt, and the true version decides the order', () => {
  const published = seen('a1', 'a2', 'a3', 'b1', 'b2').map((each) =>
    each.id === 'a3' ? { ...each, version: 1 } : each,
  )
  expect(found({ committed: truth, published })).toEqual({ corrupt: 1 })
  expect(
    found({
      committed: truth,
      published: seen('a1', 'a2', 'a3', 'b1', 'b2').map((each) =>
        each.id === 'b2' ? { ...each, key: 'a' } : each,
      ),
    }),
  ).toEqual({ corrupt: 1 })
})

test('a ground truth that names an event twice is refused', () => {
  expect(() => judge({ committed: committed('a1', 'a1') })).toThrow(/twice/)
})

test('examples are few and show the sightings that prove them', () => {
  const many = Array.from({ length: 9 }, (_, key) => ({ id: `k${key}`, key: `k${key}`, version: 1 }))
  const verdict = judge({
    committed: [...truth, ...many],
    published: seen('a2', 'a1', 'a3', 'b1', 'b2', 'b2'),
  })
  const [topics] = verdict.places
  expect(topics?.lost).toMatchObject({ count: 9, examples: { length: 3 } })
  expect(topics?.reordered.examples).toEqual([
    { id: 'a1', key: 'a', timeline: ['row 0 a2 v2', 'row 1 a1 v1'] },
  ])
  expect(topics?.duplicated.examples).toEqual([
    { id: 'b2', key: 'b', timeline: ['row 4 b2 v2', 'row 5 b2 v2'] },
  ])
  expect(describeVerdict(verdict)).toContain('  a1 (key a): row 0 a2 v2 -> row 1 a1 v1')
})
