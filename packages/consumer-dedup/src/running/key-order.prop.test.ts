import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyOrder } from './key-order.js'

test('events of a key run one after the other, the prefix is what has ended, and closing leaves no gap', () => {
  const keys = fc.array(fc.constantFrom('a', 'b', 'c', null), { maxLength: 80 })
  fc.assert(
    fc.property(
      keys,
      fc.integer({ min: 1, max: 4 }),
      fc.infiniteStream(fc.nat()),
      fc.nat(80),
      (given, parallel, choices, closeAt) => {
        const order = new KeyOrder(given, parallel)
        const running: number[] = []
        const ended = new Set<number>()
        const begun: number[] = []
        for (;;) {
          const closing = ended.size >= closeAt
          while (running.length < parallel) {
            const index = order.take(closing)
            if (index === undefined) break
            const key = given[index]
            const before = given.flatMap((other, at) =>
              at < index && other === key && key !== null ? [at] : [],
            )
            expect(before.every((at) => ended.has(at))).toBe(true)
            expect(index - order.prefix).toBeLessThan(8 * parallel)
            if (closing) expect(index).toBeLessThan(Math.max(-1, ...begun))
            running.push(index)
            begun.push(index)
          }
          if (running.length === 0) break
          const choice = (choices.next().value as number) % running.length // it never ends
          const [index = 0] = running.splice(choice, 1)
          ended.add(index)
          order.end(index)
          expect(ended.size).toBeGreaterThanOrEqual(order.prefix)
          expect(ended.has(order.prefix)).toBe(false)
        }
        expect(new Set(begun).size).toBe(begun.length)
        expect(order.prefix).toBe(begun.length) // no gap
        if (closeAt >= given.length) expect(order.prefix).toBe(given.length)
      },
    ),
  )
})

test('an event that takes long lets events without a key and with other keys pass, so many and no more', () => {
  const order = new KeyOrder(['slow', 'slow', ...Array.from({ length: 40 }, () => null)], 2)
  expect(order.take(false)).toBe(0)
  for (let index = 2; index < 16; index += 1) {
    expect(order.take(false)).toBe(index)
    order.end(index)
  }
  expect(order.take(false)).toBeUndefined()
  order.end(0)
  expect(order.take(false)).toBe(1)
})
