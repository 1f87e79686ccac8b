/** Who orders what. Money and stock are short on purpose, so that every way through the flow is taken. */
import type { NewOrder } from '../order-service/place-order.js'
import type { Random } from './random.js'

export interface Scenario {
  readonly accounts: readonly { readonly customerId: string; readonly initialCents: number }[]
  readonly stock: readonly { readonly sku: string; readonly initial: number }[]
  readonly orders: readonly NewOrder[]
}

// Some 20 orders per customer, and 50 per article at least: with fewer, money and stock would hardly ever fit.
const customersMax = 100
const skusMax = 20
const priceCents = (sku: number): number => 500 + 250 * sku
// The part of all demand that money and stock can meet.
const moneyFactor = 0.9
const stockFactor = 0.85

/** The same seed gives the same scenario. */
export function drawScenario(count: number, random: Random): Scenario {
  const customerCount = Math.max(1, Math.min(customersMax, Math.floor(count / 20)))
  const skuCount = Math.max(1, Math.min(skusMax, Math.floor(count / 50)))
  const orders = Array.from({ length: count }, () => {
    const sku = random.below(skuCount)
    const quantity = 1 + random.below(4)
    return {
      id: random.uuid(),
      customerId: `customer-${random.below(customerCount)}`,
      sku: `sku-${sku}`,
      quantity,
      totalCents: quantity * priceCents(sku),
    }
  })
  const wanted = (
    of: (order: NewOrder) => boolean,
    amount: (order: NewOrder) => number,
    factor: number,
  ): number => Math.floor(orders.filter(of).reduce((sum, order) => sum + amount(order), 0) * factor)
  return {
    orders,
    accounts: range(customerCount).map((number) => {
      const customerId = `customer-${number}`
      return {
        customerId,
        initialCents: wanted(
          (order) => order.customerId === customerId,
          ({ totalCents }) => totalCents,
          moneyFactor,
        ),
      }
    }),
    stock: range(skuCount).map((number) => {
      const sku = `sku-${number}`
      return {
        sku,
        initial: wanted(
          (order) => order.sku === sku,
          ({ quantity }) => quantity,
          moneyFactor * stockFactor,
        ),
      }
    }),
  }
}

const range = (length: number): number[] => Array.from({ length }, (_, index) => index)
