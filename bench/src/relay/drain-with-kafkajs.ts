import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import { report } from '../drained.js'
import { environment } from './drain.js'

// The same rows with kafkajs's transactional producer: 5,000 a transaction as the relay, the next page read while one
// is sent, the same headers. It keeps no position, so a crash would lose or double a page: this is its best case.
const { databaseUrl, brokers, topic, name, events } = environment()
const pageRows = 5_000

interface Row {
  readonly seq: string
  readonly id: string
  readonly type: string
  readonly source: string
  readonly key: string
  readonly payload: Buffer
  readonly occurred_at: Date
}

const client = new pg.Client({ connectionString: databaseUrl })
await client.connect()
const kafka = new Kafka({ clientId: 'bench', brokers: [...brokers], logLevel: logLevel.NOTHING })
// Without the short retry, each back-to-back transaction waits 300 ms for the one before it.
const producer = kafka.producer({
  transactionalId: name,
  idempotent: true,
  maxInFlightRequests: 1,
  retry: { retries: 10, initialRetryTime: 10 },
})
await producer.connect()

const read = async (after: string): Promise<readonly Row[]> =>
  (
    await client.query<Row>(
      'select seq, id, type, source, key, payload, occurred_at from outbox.events where seq > $1 order by events.seq limit $2',
      [after, pageRows],
    )
  ).rows

const send = async (rows: readonly Row[]): Promise<void> => {
  const transaction = await producer.transaction()
  await transaction.send({
    topic,
    acks: -1,
    messages: rows.map(({ id, type, source, key, payload, occurred_at }) => ({
      key,
      value: payload,
      timestamp: String(occurred_at.getTime()),
      headers: {
        ce_specversion: '1.0',
        ce_type: type,
        ce_source: source,
        ce_id: id,
        ce_time: occurred_at.toISOString(),
        'content-type': 'application/json',
      },
    })),
  })
  await transaction.commit()
}

const startedMs = performance.now()
const startedCpu = process.cpuUsage()
let sent = 0
let rows = await read('0')
while (rows.length > 0) {
  const next = read(rows.at(-1)?.seq ?? '0')
  await send(rows)
  sent += rows.length
  rows = await next
}
if (sent !== events) throw new Error(`sent ${sent} of ${events}`)
report(events, startedMs, startedCpu)
await producer.disconnect()
await client.end()
