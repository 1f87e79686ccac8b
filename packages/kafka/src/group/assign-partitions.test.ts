import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assignPartitions, type Subscriber } from './assign-partitions.js'

const subscriber = (memberId: string, ...topics: string[]): Subscriber => ({ memberId, topics })

describe('partitions are shared out', () => {
  test('one by one in turn, topic by topic, as Java’s RoundRobinAssignor does', () => {
    const assigned = assignPartitions(
      [subscriber('C1', 't0', 't1'), subscriber('C0', 't0', 't1')],
      new Map([
        ['t1', 3],
        ['t0', 3],
      ]),
    )
    // The example in the documentation of Java's class.
    expect(Object.fromEntries(assigned)).toEqual({
      C0: [
        { topic: 't0', partitions: [0, 2] },
        { topic: 't1', partitions: [1] },
      ],
      C1: [
        { topic: 't0', partitions: [1] },
        { topic: 't1', partitions: [0, 2] },
      ],
    })
  })

  test('only to members that subscribe, also when they subscribe to different topics', () => {
    const assigned = assignPartitions(
      [subscriber('C0', 't0'), subscriber('C1', 't0', 't1'), subscriber('C2', 't0', 't1', 't2')],
      new Map([
        ['t0', 1],
        ['t1', 2],
        ['t2', 3],
        ['nobody', 4],
      ]),
    )
    expect(Object.fromEntries(assigned)).toEqual({
      C0: [{ topic: 't0', partitions: [0] }],
      C1: [{ topic: 't1', partitions: [0] }],
      C2: [
        { topic: 't1', partitions: [1] },
        { topic: 't2', partitions: [0, 1, 2] },
      ],
    })
  })

  test('each to exactly one, and evenly where all subscribe to the same', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.dictionary(fc.string({ minLength: 1 }), fc.integer({ min: 0, max: 20 }), { maxKeys: 5 }),
        (members, counts) => {
          const topics = Object.keys(counts)
          const partitions = new Map(Object.entries(counts))
          const subscribers = Array.from({ length: members }, (_, index) =>
            subscriber(`m${index}`, ...topics),
          )
          const assigned = [...assignPartitions(subscribers, partitions).values()]
          const names = assigned.map((own) =>
            own.flatMap(({ topic, partitions: list }) => list.map((partition) => `${topic} ${partition}`)),
          )
          const all = [...partitions].flatMap(([topic, count]) =>
            Array.from({ length: count }, (_, partition) => `${topic} ${partition}`),
          )
          expect(names.flat().toSorted()).toEqual(all.toSorted())
          const sizes = names.map((own) => own.length)
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
        },
      ),
    )
  })
})
