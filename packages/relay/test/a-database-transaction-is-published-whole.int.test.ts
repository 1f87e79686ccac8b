import { EventEmitter, on } from 'node:events'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeVerdict, dumpPartition } from '@internal/audit'
import { startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { createRelay, verify } from '../src/index.js'
import { setUp, startRelayProcess, untilIdleAt, untilPublished, type Bed } from './bed.js'

// A broker whose log files can be looked at: they say which records are of one Kafka transaction.
let kafka: PrivateKafka
beforeAll(async () => {
  kafka = await startPrivateKafka()
})
afterAll(async () => {
  await kafka[Symbol.asyncDispose]()
})

const writers = 8
const transactionsOfWriter = 4
const eventsOfTransaction = 50
const eventsTotal = writers * transactionsOfWriter * eventsOfTransaction
const partitions = 2

// The events of a transaction carry its id, so that a topic says by itself what belongs together.
const insert = `
insert into outbox.events (bucket, id, source, topic, type, key, payload, occurred_at)
values (outbox.bucket($2), outbox.uuid7(), 'test', $1, 'test.happened', $2,
        convert_to(pg_current_xact_id()::text, 'UTF8') || $3::bytea, now() + $4::interval)`

interface Told {
  readonly key: string
  readonly filling?: Buffer
  readonly later?: string
}

/** One transaction, an event a round trip, so that it overlaps with those of others. */
async function emitTogether(bed: Bed, client: pg.ClientBase, events: readonly Told[]): Promise<void> {
  await client.query('begin')
  for (const { key, filling = Buffer.alloc(0), later = '0' } of events) {
    // Whoever shares a key takes its lock first, as services do with the row that the event tells of.
    if (key === 'shared') await client.query('select pg_advisory_xact_lock(1)')
    await client.query(insert, [bed.topic, key, filling, later])
  }
  await client.query('commit')
}

/** Transactions that overlap all the time: the last event of each is of a key that all of them share. */
async function emitOverlapping(bed: Bed): Promise<void> {
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      const client = await bed.pool.connect()
      try {
        for (let turn = 0; turn < transactionsOfWriter; turn++)
          await emitTogether(bed, client, [
            ...Array.from({ length: eventsOfTransaction - 1 }, (_each, n) => ({
              key: `writer-${writer}-${n % 3}`,
            })),
            { key: 'shared' },
          ])
      } finally {
        client.release()
      }
    }),
  )
}

/** For each database transaction, the Kafka transactions in which committed events of it are. */
async function kafkaTransactionsOf(bed: Bed): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const found = new Map<string, Set<string>>()
  for (let partition = 0; partition < partitions; partition++) {
    const undecided = new Map<string, { transaction: string; kafkaTransaction: string }[]>()
    for (const dumped of await dumpPartition({ ...kafka, topic: bed.topic, partition })) {
      const open = undecided.get(dumped.producerId) ?? []
      if ('value' in dumped) {
        const kafkaTransaction = `${dumped.producerId}:${dumped.producerEpoch}`
        undecided.set(dumped.producerId, [
          ...open,
          { transaction: /^\d+/.exec(dumped.value)?.[0] ?? '', kafkaTransaction },
        ])
        continue
      }
      undecided.delete(dumped.producerId)
      if (dumped.ends === 'ABORT') continue
      for (const { transaction, kafkaTransaction } of open)
        found.set(transaction, (found.get(transaction) ?? new Set()).add(kafkaTransaction))
    }
  }
  return found
}

const cutApart = (found: ReadonlyMap<string, ReadonlySet<string>>): string[] =>
  [...found].filter(([, kafkaTransactions]) => kafkaTransactions.size > 1).map(([transaction]) => transaction)

const setUpWhole = async (keepTransactionsWhole = true): Promise<Bed> =>
  await setUp({
    kafka: { brokers: kafka.brokers, assignment: [[1], [1]] },
    relay: { batch: { eventsMax: 20, keepTransactionsWhole } },
  })

test.for([
  { keepTransactionsWhole: true, what: 'as a backlog' },
  { keepTransactionsWhole: true, what: 'while they are written' },
  { keepTransactionsWhole: false, what: 'as a backlog' },
])(
  'transactions that overlap all the time are published $what, whole: $keepTransactionsWhole',
  async ({ keepTransactionsWhole, what }) => {
    await using bed = await setUpWhole(keepTransactionsWhole)
    await using relay = createRelay(bed.options)
    const published = untilPublished(bed.relayName, eventsTotal)
    if (what === 'as a backlog') await emitOverlapping(bed)
    await relay.start()
    if (what !== 'as a backlog') await emitOverlapping(bed)
    await published
    expect(describeVerdict(await bed.verdict())).toEqual([])
    const found = await kafkaTransactionsOf(bed)
    expect(found.size).toBe(writers * transactionsOfWriter)
    if (keepTransactionsWhole) expect(cutApart(found)).toEqual([])
    else expect(cutApart(found)).not.toEqual([])
    // They were not simply published all at once.
    expect(new Set([...found.values()].flatMap((set) => [...set])).size).toBeGreaterThan(10)
  },
)

const keptWhole = (bed: Bed): Record<string, string> => ({
  ONCEBOX_KAFKA_BROKERS: kafka.brokers.join(','),
  ONCEBOX_BATCH_EVENTS_MAX: '20',
  ONCEBOX_BATCH_KEEP_TRANSACTIONS_WHOLE: 'on',
  ONCEBOX_RELAY_NAME: bed.relayName,
})

// Each killed process leaves a window behind that is published in part; the next goes on in it.
test('transactions stay whole, and nothing is lost or doubled, when the relay is killed in the middle again and again', async () => {
  await using bed = await setUpWhole()
  await emitOverlapping(bed)
  for (const fault of [
    'produce.acked@3',
    'endtxn.sent@4',
    'endtxn.acked@2',
    'produce.sent@5',
    'window.recorded@1',
  ]) {
    const relay = startRelayProcess(bed, { fault: `relay.${fault}:kill`, env: keptWhole(bed) })
    const { signal, output } = await relay.ended
    expect(signal, output).toBe('SIGKILL')
  }
  // In the middle of the window, what waits has lower sequence numbers than some of what is published. It waits, longer than a
  // reader may stand still, until Kafka ends the transaction that the last process has left open.
  expect(await verify(bed.options)).toMatchObject({ ok: true, lost: { count: 0 } })
  await using last = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await last.start()
  await idle
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect(await verify(bed.options)).toMatchObject({ ok: true, reordered: { count: 0 }, waiting: 0 })
  const found = await kafkaTransactionsOf(bed)
  expect(found.size).toBe(writers * transactionsOfWriter)
  expect(cutApart(found)).toEqual([])
})

test('turned off or on in the middle of a window, nothing is lost or doubled', async () => {
  await using bed = await setUpWhole()
  await emitOverlapping(bed)
  for (const whole of ['on', 'off', 'on']) {
    const env = { ...keptWhole(bed), ONCEBOX_BATCH_KEEP_TRANSACTIONS_WHOLE: whole }
    const { signal, output } = await startRelayProcess(bed, { fault: 'relay.produce.acked@6:kill', env })
      .ended
    expect(signal, output).toBe('SIGKILL')
  }
  await using bed2 = await setUpWhole(false)
  await emitOverlapping(bed2)
  for (const whole of ['off', 'on']) {
    const env = { ...keptWhole(bed2), ONCEBOX_BATCH_KEEP_TRANSACTIONS_WHOLE: whole }
    const { signal, output } = await startRelayProcess(bed2, { fault: 'relay.produce.acked@6:kill', env })
      .ended
    expect(signal, output).toBe('SIGKILL')
  }
  for (const each of [bed, bed2]) {
    await using last = createRelay(each.options)
    const idle = untilIdleAt(each)
    await last.start()
    await idle
    expect(describeVerdict(await each.verdict())).toEqual([])
  }
})

test('an event that its topic cannot take is left out, and the rest of its transaction stays whole', async () => {
  await using bed = await setUpWhole()
  const filling = Buffer.alloc(1_100_000, 'x')
  const client = await bed.pool.connect()
  const small = Array.from({ length: 30 }, (_, n) => ({ key: `key-${n % 4}` }))
  await emitTogether(bed, client, [...small, { key: 'poison', filling }, ...small, { key: 'poison' }])
  await emitTogether(bed, client, small)
  client.release()
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  expect((await bed.letters()).map(({ key, state }) => [key, state])).toEqual([
    ['poison', 'dead'],
    ['poison', 'parked'],
  ])
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect(cutApart(await kafkaTransactionsOf(bed))).toEqual([])
})

test('an event that only the broker refuses is found: its transaction is cut for it, and no other', async () => {
  await using bed = await setUpWhole()
  const some = (count: number): Told[] => Array.from({ length: count }, (_, n) => ({ key: `key-${n % 4}` }))
  const client = await bed.pool.connect()
  for (const events of [
    some(50),
    [...some(30), { key: 'refused', later: '9 days' }, ...some(19), { key: 'refused' }],
    some(50),
  ])
    await emitTogether(bed, client, events)
  client.release()
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  expect((await bed.letters()).map(({ key, state }) => [key, state])).toEqual([
    ['refused', 'dead'],
    ['refused', 'parked'],
  ])
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect(cutApart(await kafkaTransactionsOf(bed))).toHaveLength(1)
})

test('a transaction that is too large to stay whole halts its shard, and is published when it need not', async () => {
  await using bed = await setUpWhole()
  await bed.emit(['before'])
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     select 0, outbox.uuid7(), 'test', $1, 'test.happened', 'key', '{}' from generate_series(1, 50001)`,
    [bed.topic],
  )
  const warned = new EventEmitter<{ warning: [{ code?: string }] }>()
  const warn = (fields: object): void => void warned.emit('warning', fields)
  const published = untilPublished(bed.relayName, 1)
  {
    await using relay = createRelay({ ...bed.options, logger: { info: warn, warn, error: warn } })
    const halted = untilWarned(warned, 'RELAY_TRANSACTION_TOO_LARGE')
    await relay.start()
    await Promise.all([published, halted])
    expect(relay.status).toMatchObject([{ state: 'halted' }])
  }
  const rest = untilPublished(bed.relayName, 50_001)
  await using relay = createRelay({ ...bed.options, batch: { eventsMax: 10_000 } })
  await relay.start()
  await rest
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

async function untilWarned(
  warned: EventEmitter<{ warning: [{ code?: string }] }>,
  code: string,
): Promise<void> {
  for await (const [fields] of on(warned, 'warning')) if ((fields as { code?: string }).code === code) return
}
