import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { ConsumerLetters, parkKey, PermanentError } from '@oncebox/consumer-dedup'
import { fromPg } from '@oncebox/outbox'
import { expect, test } from 'vitest'
import {
  compare,
  createInboxDatabase,
  createOrders,
  effects,
  events,
  eventually,
  publish,
} from './fixture.js'
import { effectConsumer, openPool } from './positions.js'

const program = fileURLToPath(new URL('../../cli/bin/oncebox.js', import.meta.url))

interface Run {
  readonly code: number
  readonly output: string
  readonly errors: string
}

/** The command line, as a person runs it. */
const deadLetters = (database: string, ...args: string[]): Promise<Run> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, 'dead-letters', ...args],
      { env: { ...process.env, ONCEBOX_DATABASE_URL: database } },
      (error, output, errors) =>
        resolve({
          code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1,
          output,
          errors,
        }),
    )
  })

test('a person sees what a consumer gave up, drops some of it, and has the rest run again, in order', async () => {
  await using database = await createInboxDatabase()
  const pool = openPool(database.url)
  try {
    const orders = await createOrders()
    // An id may look like the number of another letter.
    const sent = events(12, { keys: 2 }).map((one) => (one.value === 6 ? { ...one, id: '1' } : one))
    await publish(orders, sent)
    let isBroken = true
    const consumer = effectConsumer(orders, pool, {
      retry: parkKey({ delaysMs: [20], inPlace: { attemptsMax: 1 } }),
      handle: (value) => {
        if (isBroken && (value === 2 || value === 4 || value === 6)) throw new PermanentError('no such order')
        if (value === 5) throw new Error('never')
        return Promise.resolve()
      },
    })
    const oncebox = (...args: string[]): Promise<Run> =>
      deadLetters(database.url, ...args, '--consumer', consumer.name)
    const list = async (...args: string[]): Promise<{ number: string; id: string; state: string }[]> =>
      JSON.parse((await oncebox('list', '--json', ...args)).output) as {
        number: string
        id: string
        state: string
      }[]
    await consumer.start()
    await eventually(async () => (await list()).length === 4)
    await eventually(async () => (await effects(pool)).length === 8)

    const ids = (await list()).map(({ id }) => id)
    expect(ids.toSorted()).toEqual([2, 4, 5, 6].map((value) => sent[value]?.id).toSorted())
    const shown = await oncebox('show', sent[4]?.id ?? '')
    expect(shown.output).toMatch(/"value":4/)
    expect(shown.output).toContain('no such order')

    expect((await list()).find(({ number }) => number === '1')?.id).toBe(sent[2]?.id)
    expect((await oncebox('show', '1')).output).toMatch(/"value":2/)
    expect((await oncebox('show', 'id:1')).output).toMatch(/"value":6/)
    const one = { type: 'order.placed', code: 'CONSUMER_PERMANENT', letters: 1 }
    expect(JSON.parse((await oncebox('discard', '1', '--json')).output)).toMatchObject({ counts: [one] })

    // Nothing happens without --yes.
    const dryRun = await oncebox('replay', '--all', '--json')
    expect(JSON.parse(dryRun.output)).toEqual({
      dryRun: true,
      counts: [
        { type: 'order.placed', code: 'CONSUMER_PERMANENT', letters: 3 },
        { type: 'order.placed', code: 'CONSUMER_HANDLER_FAILED', letters: 1 },
      ],
    })
    expect((await oncebox('replay', '--all')).output).toContain('nothing is done')
    expect(await list()).toHaveLength(4)

    // What fails again is a dead letter again.
    const again = await oncebox('replay', '--code', 'CONSUMER_HANDLER_FAILED', '--yes', '--json')
    expect(JSON.parse(again.output)).toEqual({ replay: 1 })
    const attemptsOf5 = async (): Promise<number | undefined> =>
      (
        await pool.query<{ attempts: number }>(
          `select attempts from inbox.parked where state = 'dead' and event_id = $1`,
          [sent[5]?.id],
        )
      ).rows[0]?.attempts
    await eventually(async () => (await attemptsOf5()) === 3) // in place, from its queue, and now

    expect((await oncebox('discard', sent[5]?.id ?? '', '--yes')).code).toBe(0)
    expect((await list('--state', 'discarded')).map(({ id }) => id)).toEqual([sent[5]?.id])

    isBroken = false
    expect((await oncebox('replay', '--type', 'order.placed', '--yes')).output).toContain(': 3')
    await eventually(async () => (await effects(pool)).length === 11)
    await eventually(async () => (await list('--state', 'replayed')).length === 3)
    await consumer.stop()
    const found = await effects(pool)
    expect(found.slice(-3).map(({ value }) => value)).toEqual([2, 4, 6])
    expect(
      compare(
        sent.filter(({ value }) => value !== 5),
        found,
      ),
    ).toEqual({ lost: 0, doubled: 0 })
    expect((await pool.query('select from inbox.parked_keys')).rowCount).toBe(0)
    expect((await oncebox('replay', '--all')).output).toBe('there is none\n')
  } finally {
    await pool.end()
  }
})

test('a replay of many takes each once, also one that fails again before the last', async () => {
  await using database = await createInboxDatabase()
  const pool = openPool(database.url)
  try {
    const orders = await createOrders()
    await publish(orders, events(1, { keys: 1 }))
    const consumer = effectConsumer(orders, pool, {
      handle: () => Promise.reject(new PermanentError('no such order')),
    })
    await consumer.start()
    await eventually(async () => (await pool.query('select from inbox.parked')).rowCount === 1)
    await consumer.stop()
    await pool.query(`
      insert into inbox.parked (consumer, source, id, event_id, state, topic, topic_id, partition, "offset", record_at,
                                event_at, key, headers, attempts, code, reason)
      select consumer, source, id, event_id, state, topic, topic_id, partition, other.number, record_at,
             event_at, key, headers, attempts, code, reason
        from inbox.parked cross join generate_series(1, 1200) as other (number)`)
    const db = fromPg(pool)
    const transaction: typeof db.transaction = async (work, options) => {
      const result = await db.transaction(work, options)
      await pool.query(`update inbox.parked set state = 'dead' where state = 'parked'`)
      return result
    }
    const letters = new ConsumerLetters({ ...db, transaction }, consumer.name)
    expect(await letters.replay({ code: 'CONSUMER_PERMANENT' })).toBe(1_201)
  } finally {
    await pool.end()
  }
})

test('the command says what it needs', async () => {
  await using database = await createInboxDatabase()
  const unknown = await deadLetters(database.url, 'show', '17', '--consumer', 'billing')
  expect(unknown.errors).toContain('CONSUMER_DEAD_LETTER_UNKNOWN')
  const everything = await deadLetters(database.url, 'replay', '--consumer', 'billing')
  expect(everything.errors).toContain('--all')
  const ofRelay = await deadLetters(database.url, 'replay', '17')
  expect(ofRelay.errors).toContain('--consumer NAME')
  for (const { code } of [unknown, everything, ofRelay]) expect(code).not.toBe(0)
})
