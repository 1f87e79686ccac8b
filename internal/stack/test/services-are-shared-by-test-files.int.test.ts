import { createDatabase, createTopic, randomName, sharedStack } from '@internal/stack'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import { expect, test } from 'vitest'

const query = async (url: string, text: string): Promise<unknown[]> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

test('test files find the services that the global set-up started', () => {
  const stack = sharedStack()
  expect(stack.postgres.url).toMatch(/^postgres:/)
  expect(stack.kafka.brokers).toHaveLength(1)
  expect(stack.redis.url).toMatch(/^redis:/)
})

test('a template is prepared once, however many databases are cloned from it at the same time', async () => {
  const prepared: string[] = []
  const template = {
    name: randomName('template'),
    prepare: async (url: string) => {
      prepared.push(url)
      await query(url, 'create table orders as select 1 as id')
    },
  }
  const databases = await Promise.all(Array.from({ length: 4 }, () => createDatabase({ template })))
  expect(prepared).toHaveLength(1)
  expect(new Set(databases.map(({ name }) => name)).size).toBe(4)
  for (const database of databases) {
    expect(await query(database.url, 'select id from orders')).toEqual([{ id: 1 }])
    await database.drop()
  }
})

test('a template that could not be prepared is not used', async () => {
  const name = randomName('template')
  const prepare = () => Promise.reject(new Error('no such migration'))
  await expect(createDatabase({ template: { name, prepare } })).rejects.toThrow('no such migration')
  await using database = await createDatabase({ template: { name, prepare: async () => undefined } })
  expect(database.url).toContain(database.name)
})

test('a topic takes records as soon as it is created', async () => {
  const topic = await createTopic('orders', { partitions: 3, config: { 'cleanup.policy': 'compact' } })
  const kafka = new Kafka({
    brokers: [...sharedStack().kafka.brokers],
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
  })
  const producer = kafka.producer()
  await producer.connect()
  const messages = [0, 1, 2].map((partition) => ({ partition, key: 'k', value: 'v' }))
  const written = await producer.send({ topic, messages })
  await producer.disconnect()
  expect(written.map(({ baseOffset }) => baseOffset)).toEqual(['0', '0', '0'])
})
