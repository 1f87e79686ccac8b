/** How far the flow is, asked from the databases: the processes under test are not their own witnesses. */
import { EventEmitter, once } from 'node:events'
import { delay } from '@oncebox/core'
import { serviceNames } from './programs.js'
import type { World } from './world.js'

export interface Snapshot {
  /** Rows of orders. */
  readonly placed: number
  /** Confirmed or cancelled. */
  readonly final: number
  /** Effects so far, and how many the rows call for by now. */
  readonly effects: number
  readonly effectsExpected: number
  /** Every order is final, and every event has had its effect. */
  readonly drained: boolean
}

const everyMs = 200
// Kafka gives a killed consumer's partitions to its successor after seconds; this long without any progress is a hang.
const stallMs = 60_000

interface MonitorEvents {
  progress: [Snapshot]
}

/** Looks at the databases again and again. */
export class Monitor extends EventEmitter<MonitorEvents> {
  snapshot: Snapshot = { placed: 0, final: 0, effects: 0, effectsExpected: 0, drained: false }
  readonly #world: World
  readonly #orders: number

  constructor(world: World, orders: number) {
    super()
    this.setMaxListeners(0)
    this.#world = world
    this.#orders = orders
  }

  /** Resolves when everything is drained: true, or when nothing moves any more: false. */
  async untilDrained(signal: AbortSignal): Promise<boolean> {
    let movedAt = performance.now()
    for (;;) {
      const next = await takeSnapshot(this.#world, this.#orders)
      const { placed, final, effects } = this.snapshot
      if (next.placed !== placed || next.final !== final || next.effects !== effects)
        movedAt = performance.now()
      this.snapshot = next
      this.emit('progress', next)
      if (next.drained) return true
      if (performance.now() - movedAt > stallMs) return false
      await delay(everyMs, signal)
    }
  }

  /** Half of the work is placing orders, half is finishing them. */
  async reached(part: number, signal: AbortSignal): Promise<void> {
    const done = (): number => (this.snapshot.placed + this.snapshot.final) / (2 * this.#orders)
    while (done() < part) await once(this, 'progress', { signal })
  }
}

interface OrderCounts {
  readonly placed: number
  readonly paid: number
  readonly cancelled: number
  readonly final: number
  readonly finished: number
}

async function takeSnapshot({ pools }: World, orders: number): Promise<Snapshot> {
  const [order, payments, reservations, mails, ...effects] = await Promise.all([
    pools.order
      .query<OrderCounts>(
        `select count(*)::int as placed,
                count(*) filter (where version >= 2 and reason is distinct from 'declined')::int as paid,
                count(*) filter (where state = 'cancelled')::int as cancelled,
                count(*) filter (where state in ('confirmed', 'cancelled'))::int as final,
                count(*) filter (where state in ('confirmed', 'cancelled') and mailed
                                   and (reason is distinct from 'out-of-stock' or refunded))::int as finished
           from orders`,
      )
      .then(({ rows }) => rows[0] ?? { placed: 0, paid: 0, cancelled: 0, final: 0, finished: 0 }),
    number(pools.payment.query('select coalesce(sum(version), 0)::int as number from payments')),
    number(pools.inventory.query('select count(*)::int as number from reservations')),
    number(pools.notification.query('select count(*)::int as number from mails')),
    ...serviceNames.map((service) =>
      number(pools[service].query('select count(*)::int as number from effects')),
    ),
  ])
  const expected = {
    order: payments + reservations + mails,
    payment: order.placed + order.cancelled,
    inventory: order.paid,
    notification: order.final,
  }
  const complete = serviceNames.every((service, index) => (effects[index] ?? 0) >= expected[service])
  return {
    placed: order.placed,
    final: order.final,
    effects: sum(effects),
    effectsExpected: sum(Object.values(expected)),
    drained: order.finished === orders && complete,
  }
}

const number = async (result: Promise<{ rows: { number: number }[] }>): Promise<number> =>
  (await result).rows[0]?.number ?? 0
const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)
