import { sharedStack } from '@internal/stack'
import type { Anomaly, TopicRecord } from '@internal/audit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { audit, readFlowTopics } from '../dist/demo/audit/audit.js'
import { startFlow, type Flow, type FlowOutcome } from '../dist/demo/flow.js'
import type { ServiceName } from '../dist/demo/programs.js'

// One clean run; then evidence is doctored, judged, and put back. An audit that only ever saw clean runs proves nothing.
let flow: Flow
let outcome: FlowOutcome
let records: TopicRecord[]

beforeAll(async () => {
  const quiet = { line: () => undefined, update: () => undefined, finish: () => undefined }
  flow = await startFlow({
    stack: sharedStack(),
    orders: 40,
    seed: 7,
    kills: 0,
    display: quiet,
    signal: AbortSignal.timeout(200_000),
  })
  outcome = await flow.run()
  await flow.stop()
  records = await readFlowTopics(flow.world)
})

afterAll(async () => {
  await flow?.stop()
  await flow?.destroy({ keepLogs: false })
})

const found = async (seen: readonly TopicRecord[] = records) => {
  const { verdict, rules } = await audit(flow.world, seen, outcome.acknowledged)
  const anomalies: Partial<Record<Anomaly, number>> = Object.fromEntries(
    Object.entries(verdict.totals).filter(([, count]) => count > 0),
  )
  return { anomalies, rules: rules.filter(({ broken }) => broken > 0).map(({ rule }) => rule) }
}

const change = (service: ServiceName, sql: string) => flow.world.pools[service].query(sql)

/** Judges after `doctor`, and once more after `heal`: what was put back must be clean. */
const foundWith = async (service: ServiceName, doctor: string, heal: string) => {
  await change(service, doctor)
  const findings = await found()
  await change(service, heal)
  expect(await found()).toEqual({ anomalies: {}, rules: [] })
  return findings
}

describe('the audit', () => {
  test('finds nothing in a clean run', async () => {
    expect(outcome.drained).toBe(true)
    expect(await found()).toEqual({ anomalies: {}, rules: [] })
  })

  test('finds an effect that did not happen', async () => {
    await change('inventory', 'create table aside as select * from effects order by row_number limit 1')
    await change('inventory', 'delete from effects where row_number in (select row_number from aside)')
    expect(await found()).toEqual({ anomalies: { lost: 1 }, rules: [] })
    await change('inventory', 'insert into effects overriding system value select * from aside')
  })

  test('finds an effect that happened twice', async () => {
    const twice =
      'insert into effects (type, order_id, version) select type, order_id, version from effects order by row_number limit 1'
    const once = 'delete from effects where row_number = (select max(row_number) from effects)'
    expect(await foundWith('payment', twice, once)).toEqual({ anomalies: { duplicated: 1 }, rules: [] })
  })

  test('finds an effect of an event that nobody committed', async () => {
    const invented = `insert into effects (type, order_id, version) values ('order.paid', gen_random_uuid(), 2)`
    const gone = 'delete from effects where row_number = (select max(row_number) from effects)'
    expect(await foundWith('inventory', invented, gone)).toEqual({ anomalies: { phantom: 1 }, rules: [] })
  })

  test('finds a second mail', async () => {
    const second =
      'insert into mails (order_id, outcome, version) select order_id, outcome, version from mails order by row_number limit 1'
    const gone = 'delete from mails where row_number = (select max(row_number) from mails)'
    expect(await foundWith('notification', second, gone)).toEqual({
      anomalies: {},
      rules: ['one mail per order, and it tells the outcome'],
    })
  })

  test('finds money out of nowhere', async () => {
    const richer = `update accounts set balance_cents = balance_cents + 1 where customer_id = 'customer-0'`
    const poorer = `update accounts set balance_cents = balance_cents - 1 where customer_id = 'customer-0'`
    expect(await foundWith('payment', richer, poorer)).toEqual({
      anomalies: {},
      rules: ['money is conserved'],
    })
  })

  test('finds goods that were sold twice', async () => {
    const fewer = `update stock set on_hand = on_hand - 1000 where sku = 'sku-0'`
    const more = `update stock set on_hand = on_hand + 1000 where sku = 'sku-0'`
    expect(await foundWith('inventory', fewer, more)).toEqual({
      anomalies: {},
      rules: ['stock is never negative, and conserved'],
    })
  })

  test('finds what is wrong with a topic', async () => {
    const last = records.length - 1
    expect(await found(records.slice(0, last))).toEqual({ anomalies: { lost: 1 }, rules: [] })
    expect(await found([...records, ...records.slice(last)])).toEqual({
      anomalies: { duplicated: 1 },
      rules: [],
    })
    const ofOneOrder = records.filter(
      ({ key, topic }) => topic.endsWith('orders') && key === outcome.acknowledged[0],
    )
    const [first, second] = ofOneOrder
    if (first === undefined || second === undefined) throw new Error('an order has two events at least')
    const swapped = records.map((record) => (record === first ? second : record === second ? first : record))
    expect(await found(swapped)).toEqual({ anomalies: { reordered: 1 }, rules: [] })
    expect(
      await found(records.map((record) => (record === first ? { ...record, key: 'other' } : record))),
    ).toEqual({ anomalies: { corrupt: 1 }, rules: [] })
  })
})
