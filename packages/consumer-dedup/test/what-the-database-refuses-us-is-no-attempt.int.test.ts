import { randomName } from '@internal/stack'
import { createConsumer } from '@oncebox/consumer-dedup'
import { fromPg } from '@oncebox/outbox'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { brokers, compare, createOrders, effects, events, happens, publish } from './fixture.js'
import { useInbox } from './use-inbox.js'

const inbox = useInbox()
const role = randomName('billing')

/** A pool of the role, whose connections begin with these settings. */
function poolOf(settings = ''): pg.Pool {
  const url = new URL(inbox.url)
  url.username = role
  const pool = new pg.Pool({ connectionString: url.href, options: settings, max: 8 })
  pool.on('error', () => undefined)
  return pool
}

beforeAll(async () => {
  await inbox.pool.query(`create role "${role}" login`)
  await inbox.pool.query(`grant select, insert on effects to "${role}"`)
  await inbox.pool.query(`select inbox.grant_consumer('${role}')`)
})
afterAll(async () => {
  await inbox.pool.query(`drop owned by "${role}"`)
  await inbox.pool.query(`drop role "${role}"`)
})

const kept = async (consumer: string): Promise<unknown[]> =>
  (
    await inbox.pool.query(
      'select consumer from inbox.parked where consumer = $1 union all select consumer from inbox.attempts where consumer = $1',
      [consumer],
    )
  ).rows

test.each([
  ['inbox', 'insert on inbox.marks'],
  ['position', 'update on inbox.positions'],
] as const)(
  'mode %s: without its grant (%s) the consumer stops and says what is missing; no event is given up, and all take effect afterwards',
  async (mode, grant) => {
    const orders = await createOrders()
    const name = randomName('billing')
    const sent = events(5)
    const pool = poolOf()
    const consumer = inbox.consume(orders, pool, { mode, name, retry: { attemptsMax: 1 } })
    await consumer.start()
    await inbox.pool.query(`revoke ${grant} from "${role}"`)
    const failed = happens('consumerFailed', name)
    await publish(orders, sent)
    expect((await failed).error).toMatchObject({
      code: 'CONSUMER_DATABASE_REFUSED',
      details: { sqlState: '42501' },
      remedy: expect.stringContaining('grant_consumer') as string,
    })
    expect(await kept(name)).toEqual([])

    await inbox.pool.query(`grant ${grant} to "${role}"`)
    const handled = happens('consumerHandled', name, { count: 5 })
    await inbox.consume(orders, pool, { mode, name }).start()
    await handled
    expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
    await inbox.clear(5_000)
    await pool.end()
  },
)

test.each(['lock_timeout', 'statement_timeout'])(
  'what %s ends is tried again for as long as it takes, and is no attempt',
  async (setting) => {
    const orders = await createOrders()
    const name = randomName('billing')
    const sent = events(3)
    const pool = poolOf(`-c ${setting}=50`)
    const consumer = inbox.consume(orders, pool, { name, retry: { attemptsMax: 1 } })
    await consumer.start()
    const blocker = await inbox.pool.connect()
    try {
      await blocker.query('begin')
      await blocker.query('lock table inbox.marks in share mode')
      const again = happens('consumerRepositioning', name, { count: 3 })
      await publish(orders, sent)
      expect((await again).error).toMatchObject({ code: 'CONSUMER_DATABASE_UNAVAILABLE' })
    } finally {
      await blocker.query('rollback')
      blocker.release()
    }
    await expect.poll(async () => (await effects(inbox.pool)).length, { timeout: 20_000 }).toBe(3)
    expect(await kept(name)).toEqual([])
    expect(consumer.counts).toMatchObject({ handled: 3, retries: 0, deadLetters: 0 })
    await inbox.clear(5_000)
    await pool.end()
  },
)

test('a handler that ends its own transaction is to blame for it, at each attempt: its event becomes a dead letter', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  const consumer = createConsumer({
    group: name,
    topics: [orders],
    kafka: { brokers: brokers() },
    mode: 'inbox',
    db: fromPg(inbox.pool),
    retry: { attemptsMax: 3, backoff: { minMs: 1, maxMs: 1 } },
  })
  consumer.on('order.placed', (_event, { tx }) => tx.query('rollback'))
  const dead = happens('consumerDeadLettered', name)
  await consumer.start()
  await publish(orders, events(1))
  expect(await dead).toMatchObject({ attempt: 3, error: { code: 'OUTBOX_NOT_IN_TRANSACTION' } })
  await consumer.stop()
})

test('the statement that decides is kept by the server process of a connection', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  const found: (number | null)[] = []
  for (const mode of ['inbox', 'position'] as const) {
    const consumer = createConsumer({
      group: `${name}-${mode}`,
      topics: [orders],
      kafka: { brokers: brokers() },
      mode,
      db: fromPg(inbox.pool),
      batch: { eventsMax: 1 },
    })
    let last: number | null = null
    consumer.on('order.placed', async (_event, { tx }) => {
      const { rowCount } = await tx.query(
        `select from pg_prepared_statements where statement like '%oncebox decides%${mode === 'inbox' ? 'insert into inbox.marks' : 'update inbox.positions'}%'`,
      )
      last = rowCount
    })
    const handled = happens('consumerHandled', consumer.name, { count: 5 })
    await consumer.start()
    if (mode === 'inbox') await publish(orders, events(5))
    await handled
    await consumer.stop()
    found.push(last)
  }
  expect(found).toEqual([1, 1])
})
