import { createTopic, startPrivateKafka, startPrivatePostgres } from '@internal/stack'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import { expect, test } from 'vitest'

const connectTo = async (url: string): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

test('a private PostgreSQL keeps what was committed before SIGKILL, and forgets what was not', async () => {
  await using postgres = await startPrivatePostgres({ settings: { max_connections: '20' } })
  const writer = await connectTo(postgres.url)
  await writer.query('create table events as select 1 as id')
  const open = await connectTo(postgres.url)
  await open.query('begin; insert into events values (2)')
  const { rows } = await open.query<{ pid: number }>('select pg_backend_pid() as pid')
  expect(await postgres.backendPids()).toContain(rows[0]?.pid)
  const cutOff = new Promise((resolve) => open.once('end', resolve))

  await postgres.kill('SIGKILL')
  await cutOff
  expect(() => postgres.postmasterPid()).toThrow('not running')
  await postgres.start()

  const reader = await connectTo(postgres.url)
  expect((await reader.query('select id from events')).rows).toEqual([{ id: 1 }])
  expect((await reader.query('show max_connections')).rows).toEqual([{ max_connections: '20' }])
  await reader.end()
})

test('a private PostgreSQL restarts after only its postmaster was killed, with a backend still at work', async () => {
  await using postgres = await startPrivatePostgres()
  const busy = await connectTo(postgres.url)
  const answer = busy.query('select count(*) from generate_series(1, 4000000)').catch(() => 'cut off')
  process.kill(postgres.postmasterPid(), 'SIGKILL')
  await postgres.stop()

  await postgres.start()

  const reader = await connectTo(postgres.url)
  expect((await reader.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await reader.end()
  await answer
})

test('a private Kafka keeps its topics when it is killed, and listens on the same port', async () => {
  await using kafka = await startPrivateKafka({ settings: { 'num.partitions': '3' } })
  const topic = await createTopic('orders', { brokers: kafka.brokers })

  await kafka.kill()
  await kafka.start()

  const client = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING })
  const admin = client.admin()
  await admin.connect()
  expect(await admin.listTopics()).toContain(topic)
  await admin.disconnect()
})
