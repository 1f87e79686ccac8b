import { startProxy, type Proxy } from '@internal/proxy'
import { startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { numbered, setUp } from './fixture.js'

let proxy: Proxy
let kafka: PrivateKafka

beforeAll(async () => {
  kafka = await startPrivateKafka({
    proxiedAt: async (upstream) => (proxy = await startProxy({ protocol: 'kafka', upstream })).port,
  })
})
afterAll(async () => {
  await kafka[Symbol.asyncDispose]()
  await proxy[Symbol.asyncDispose]()
})

test('an operator lowers and raises transaction.version under an open session: every transaction is committed once, in order', async () => {
  const { open, records, committed } = await setUp({
    brokers: [`${proxy.host}:${proxy.port}`],
    judgeBrokers: kafka.brokers,
  })
  const session = await open()
  using added = proxy.on({ request: 'AddPartitionsToTxn', nth: 'every' }, 'forward')
  let published = 0
  /** Publishes a transaction; whether it was one of version 1, which names its partitions first. */
  const publish = async (): Promise<1 | 2> => {
    const before = added.frames.length
    await session.publish({ partitions: [records([`event-${published}`])] })
    published++
    return added.frames.length > before ? 1 : 2
  }

  expect([await publish(), await publish(), await publish()]).toEqual([2, 2, 2])
  await kafka.alterFeature('transaction.version', 1)
  await expect.poll(publish, { timeout: 30_000, interval: 50 }).toBe(1)
  expect([await publish(), await publish(), await publish()]).toEqual([1, 1, 1])
  await kafka.alterFeature('transaction.version', 2)
  await expect.poll(publish, { timeout: 30_000, interval: 50 }).toBe(2)
  expect([await publish(), await publish(), await publish()]).toEqual([2, 2, 2])
  expect(session.state).toBe('ready')
  expect(await committed()).toEqual(numbered('event', published))
})
