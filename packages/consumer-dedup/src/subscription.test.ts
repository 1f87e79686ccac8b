import { defineTopic } from '@oncebox/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { Subscription, topicsMatching } from './subscription.js'

const orders = defineTopic('orders', { events: { 'order.placed': z.object({}) } })
const german = defineTopic('orders.de', { events: { 'order.placed': z.object({}) } })

test('a topic that is named counts before a pattern, and of two patterns the first', () => {
  const [all, wide] = [topicsMatching(/^orders\.[a-z]{2}$/g, orders), topicsMatching(/^orders/y, orders)]
  const subscription = new Subscription([all, wide, german])
  expect(subscription.get('orders.de')).toBe(german)
  expect(subscription.get('orders.fr')).toBe(all)
  expect(subscription.get('orders.fr')).toBe(all) // also the second time, though /g remembers
  expect(subscription.get('orders.other')).toBe(wide)
  expect(subscription.get('invoices')).toBeUndefined()
  expect(subscription.names).toEqual(['orders.de'])
})
