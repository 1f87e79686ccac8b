import { randomName, startPrivatePostgres } from '@internal/stack'
import { channels } from '@oncebox/core'
import { expect, test } from 'vitest'
import { compare, createInboxDatabase, createOrders, effects, events, happens, publish } from './fixture.js'
import { openPool } from './positions.js'
import { useInbox } from './use-inbox.js'

const inbox = useInbox()

/** A promise and its resolution. */
function signal(): { readonly given: Promise<void>; give(): void } {
  let give: () => void = () => undefined
  const given = new Promise<void>((resolve) => (give = resolve))
  return { given, give: () => give() }
}

test('a start that is asked for twice is one start', { timeout: 60_000 }, async () => {
  const orders = await createOrders()
  const consumer = inbox.consume(orders, inbox.pool)
  const second = { code: 'CONSUMER_OPTIONS_INVALID' }

  const starts = await Promise.allSettled([consumer.start(), consumer.start()])

  expect(starts).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: second }])
  await expect(consumer.start()).rejects.toMatchObject(second)
})

test(
  'stop() during start() ends the start at once, and nothing of it lives on',
  { timeout: 60_000 },
  async () => {
    const orders = await createOrders()
    const name = randomName('billing')
    const stopped = inbox.consume(orders, inbox.pool, { name })
    const start = stopped.start()
    const refused = expect(start).rejects.toMatchObject({ message: expect.stringContaining('stopped') })
    await stopped.stop()
    await refused
    expect(stopped.state).toBe('stopped')

    // Stopped in a later phase too: its first connection to the database has been used.
    const acquired = new Promise((resolve) => inbox.pool.once('release', resolve))
    const again = stopped.start()
    const refusedAgain = expect(again).rejects.toMatchObject({ message: expect.stringContaining('stopped') })
    await acquired
    await stopped.stop()
    await refusedAgain

    const sent = events(5)
    await publish(orders, sent)
    const next = inbox.consume(orders, inbox.pool, { name })
    const handled = happens('consumerHandled', name, { count: 5 })
    await next.start()
    await handled
    expect([stopped.counts.handled, next.counts.handled]).toEqual([0, 5])
    expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
  },
)

test(
  'a member that is stopped before its group lets it in positions nothing, and the group does not wait for it',
  { timeout: 60_000 },
  async () => {
    const orders = await createOrders(2)
    const group = randomName('group')
    const [first, late] = [randomName('first'), randomName('late')]
    const begun = signal()
    const finish = signal()
    const holding = inbox.consume(orders, inbox.pool, {
      name: first,
      group,
      handle: async () => {
        begun.give()
        await finish.given
      },
    })
    await holding.start()
    await publish(orders, events(1))
    await begun.given

    // The group waits for the handler above, so this member is not let in before it is over.
    const own = openPool(inbox.url)
    const waiting = inbox.consume(orders, own, { name: late, group })
    const start = waiting.start()
    start.catch(() => undefined)
    await happens('consumerAssigned', first, { timeoutMs: 1_500 }).catch(() => undefined)
    await waiting.stop({ timeoutMs: 100 })
    await own.end()
    const troubles: unknown[] = []
    const listener = (trouble: unknown): void => {
      if (
        typeof trouble === 'object' &&
        trouble !== null &&
        'consumer' in trouble &&
        trouble.consumer === late
      )
        troubles.push(trouble)
    }
    channels.consumerRepositioning.subscribe(listener)
    const assignedAgain = happens('consumerAssigned', first)
    finish.give()
    await assignedAgain // the late member has given up its join, so the group shares out once

    channels.consumerRepositioning.unsubscribe(listener)
    expect(troubles).toEqual([])
    await expect(start).rejects.toThrow()
  },
)

test('stop() keeps its time when the database does not answer', { timeout: 120_000 }, async () => {
  await using server = await startPrivatePostgres()
  await using own = await createInboxDatabase(server.url)
  const ownPool = openPool(own.url)
  const orders = await createOrders()
  const begun = signal()
  const consumer = inbox.consume(orders, ownPool, {
    handle: async () => {
      begun.give()
      await new Promise(() => undefined)
    },
  })
  await consumer.start()
  await publish(orders, events(1))
  await begun.given

  const { rows } = await ownPool.query<{ pid: number }>(
    'select pid from pg_stat_activity where datname = current_database()',
  )
  for (const { pid } of rows) process.kill(pid, 'SIGSTOP')
  process.kill(server.postmasterPid(), 'SIGSTOP')
  const since = performance.now()
  const outcome = await Promise.race([
    consumer.stop({ timeoutMs: 100 }).then(() => 'stopped'),
    happens('consumerAssigned', 'nobody', { timeoutMs: 15_000 }).catch(() => 'still stopping'),
  ])
  process.kill(server.postmasterPid(), 'SIGCONT')
  for (const { pid } of rows) process.kill(pid, 'SIGCONT')
  expect(outcome).toBe('stopped')
  expect(performance.now() - since).toBeLessThan(10_000)
})

test('connections that are lost in the middle of an event count neither as attempts nor as kills', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  const sent = events(3)
  let losses = 0
  const consumer = inbox.consume(orders, inbox.pool, {
    name,
    retry: { attemptsMax: 1, killsMax: 1 },
    handle: async (value) => {
      if (value !== 1 || losses === 4) return
      losses += 1
      const { rows } = await inbox.pool.query<{ pid: number }>(
        `select pid from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
      )
      for (const { pid } of rows) await inbox.pool.query('select pg_terminate_backend($1, 5000)', [pid])
    },
  })
  const handled = happens('consumerHandled', name, { count: 3 })
  await publish(orders, sent)
  await consumer.start()
  await handled

  expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
  expect(consumer.counts).toMatchObject({ handled: 3, retries: 0, deadLetters: 0 })
})
