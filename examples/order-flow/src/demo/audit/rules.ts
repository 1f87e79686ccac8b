/** The rules of the business that must hold in the end, whatever was killed. */
import type { Truth } from './truth.js'

export interface RuleResult {
  readonly rule: string
  readonly broken: number
  /** The first few that break it. */
  readonly examples: readonly string[]
}

const examplesMax = 3

/** @param acknowledged The ids of the orders that the service has acknowledged over HTTP. */
export function checkRules(truth: Truth, acknowledged: readonly string[]): RuleResult[] {
  return [
    result(
      'every order is in a final state',
      truth.orders
        .filter(({ state }) => state !== 'confirmed' && state !== 'cancelled')
        .map(({ id, state }) => `${id} is ${state}`),
    ),
    result(
      'an order exists if and only if it was acknowledged',
      differing(
        acknowledged,
        truth.orders.map(({ id }) => id),
      ),
    ),
    result('stock is never negative, and conserved', brokenStock(truth)),
    result('money is conserved', brokenMoney(truth)),
    result('one mail per order, and it tells the outcome', brokenMails(truth)),
    result(
      'an order is confirmed if and only if it is paid and its goods are reserved',
      brokenOutcomes(truth),
    ),
  ]
}

const result = (rule: string, broken: readonly string[]): RuleResult => ({
  rule,
  broken: broken.length,
  examples: broken.slice(0, examplesMax),
})

function differing(acknowledged: readonly string[], existing: readonly string[]): string[] {
  const [wanted, found] = [new Set(acknowledged), new Set(existing)]
  return [
    ...acknowledged.filter((id) => !found.has(id)).map((id) => `${id} was acknowledged and does not exist`),
    ...existing.filter((id) => !wanted.has(id)).map((id) => `${id} exists and was not acknowledged`),
  ]
}

function brokenStock({ stock, reservations }: Truth): string[] {
  return stock.flatMap(({ sku, initial, on_hand }) => {
    const reserved = sum(
      reservations
        .filter((one) => one.sku === sku && one.state === 'reserved')
        .map(({ quantity }) => quantity),
    )
    const negative = on_hand < 0 ? [`${sku}: ${on_hand} on hand`] : []
    return on_hand + reserved === initial
      ? negative
      : [...negative, `${sku}: ${on_hand} on hand and ${reserved} reserved are not ${initial}`]
  })
}

/** Per account, so that two errors cannot cancel out: balance + captured - refunded = initial. */
function brokenMoney({ accounts, payments }: Truth): string[] {
  return accounts.flatMap(({ customer_id, initial_cents, balance_cents }) => {
    const own = payments.filter((payment) => payment.customer_id === customer_id)
    const captured = sum(own.filter(({ state }) => state !== 'declined').map(({ cents }) => cents))
    const refunded = sum(own.filter(({ state }) => state === 'refunded').map(({ cents }) => cents))
    if (balance_cents + captured - refunded === initial_cents) return []
    return [
      `${customer_id}: ${balance_cents} left + ${captured} captured - ${refunded} refunded is not ${initial_cents}`,
    ]
  })
}

function brokenMails({ orders, mails }: Truth): string[] {
  const told = new Map<string, string[]>()
  for (const { order_id, outcome } of mails) told.set(order_id, [...(told.get(order_id) ?? []), outcome])
  const known = new Set(orders.map(({ id }) => id))
  return [
    ...orders.flatMap(({ id, state }) => {
      const outcomes = told.get(id) ?? []
      return outcomes.length === 1 && outcomes[0] === state
        ? []
        : [`${id} is ${state}, mails: ${outcomes.join(', ') || 'none'}`]
    }),
    ...[...told.keys()]
      .filter((id) => !known.has(id))
      .map((id) => `a mail about ${id}, which does not exist`),
  ]
}

function brokenOutcomes({ orders, payments, reservations }: Truth): string[] {
  const paymentOf = new Map(payments.map((payment) => [payment.order_id, payment]))
  const reservationOf = new Map(reservations.map(({ order_id, state }) => [order_id, state]))
  return orders.flatMap(({ id, state, reason, version, total_cents }) => {
    const payment = paymentOf.get(id)
    const is = `${state}${reason === null ? '' : ` (${reason})`} v${version}, payment ${payment?.state ?? 'absent'}, stock ${reservationOf.get(id) ?? 'absent'}`
    if (payment !== undefined && payment.cents !== total_cents)
      return [`${id} costs ${total_cents}, its payment is ${payment.cents}`]
    return outcomes.has(is) ? [] : [`${id} is ${is}`]
  })
}

const outcomes = new Set([
  'confirmed v3, payment captured, stock reserved',
  'cancelled (declined) v2, payment declined, stock absent',
  'cancelled (out-of-stock) v3, payment refunded, stock rejected',
])

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)
