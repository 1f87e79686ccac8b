import { expect, test } from 'vitest'
import { drawKills } from '../dist/demo/killer.js'
import { createRandom } from '../dist/demo/random.js'
import { drawScenario } from '../dist/demo/scenario.js'

test('the same seed draws the same customers and orders, another seed draws others', () => {
  expect(drawScenario(300, createRandom(7))).toEqual(drawScenario(300, createRandom(7)))
  expect(drawScenario(300, createRandom(7)).orders[0]).not.toEqual(
    drawScenario(300, createRandom(8)).orders[0],
  )
})

test('order ids are valid and unique', () => {
  const ids = drawScenario(2_000, createRandom(1)).orders.map(({ id }) => id)
  expect(new Set(ids).size).toBe(2_000)
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('money and stock are short, so that some orders are declined and some find no goods', () => {
  const { orders, accounts, stock } = drawScenario(2_000, createRandom(3))
  const sum = (numbers: number[]): number => numbers.reduce((total, one) => total + one, 0)
  expect(sum(accounts.map(({ initialCents }) => initialCents))).toBeLessThan(
    sum(orders.map(({ totalCents }) => totalCents)),
  )
  expect(sum(stock.map(({ initial }) => initial))).toBeLessThan(sum(orders.map(({ quantity }) => quantity)))
})

test('kills are the same for a seed, spread over the work, and spare nobody for long', () => {
  const kills = drawKills(20, 8, createRandom(7))
  expect(kills).toEqual(drawKills(20, 8, createRandom(7)))
  expect(kills.map(({ after }) => after)).toEqual(
    kills.map(({ after }) => after).toSorted((one, other) => one - other),
  )
  expect(Math.max(...kills.map(({ after }) => after))).toBeLessThan(0.9)
  expect(new Set(kills.slice(0, 8).map(({ victim }) => victim)).size).toBe(8)
  expect(drawKills(0, 8, createRandom(7))).toEqual([])
})
