import { createTopic, randomName, sharedStack } from '@internal/stack'
import { Kafka, logLevel, type Transaction } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import { AuditError, readTopic } from '../src/index.js'

const recordsOf = (name: string) =>
  Array.from({ length: 20 }, (_, number) => ({
    key: `key ${number}`,
    value: `{"in":"${name}",\n"number":${number}}`,
    headers: { 'ce-id': `${name}:${number}` },
  }))

/** Runs transactions one after another, on a producer that is gone afterwards. */
const inTransactions = async (work: (next: () => Promise<Transaction>) => Promise<void>): Promise<void> => {
  const kafka = new Kafka({
    clientId: 'audit-test',
    brokers: [...sharedStack().kafka.brokers],
    logLevel: logLevel.NOTHING,
  })
  const producer = kafka.producer({
    transactionalId: randomName('audit'),
    maxInFlightRequests: 1,
    idempotent: true,
  })
  await producer.connect()
  try {
    await work(() => producer.transaction())
  } finally {
    await producer.disconnect()
  }
}

describe('a topic read by Apache', () => {
  test('holds what was committed and not what was aborted', async () => {
    const topic = await createTopic('audit', { partitions: 2 })
    await inTransactions(async (next) => {
      for (const name of ['first', 'aborted', 'second']) {
        const transaction = await next()
        await transaction.send({ topic, messages: recordsOf(name) })
        await (name === 'aborted' ? transaction.abort() : transaction.commit())
      }
    })

    const committed = await readTopic({ ...sharedStack().kafka, topic, isolation: 'read_committed' })
    const everything = await readTopic({ ...sharedStack().kafka, topic, isolation: 'read_uncommitted' })

    const ids = (records: typeof committed) => new Set(records.map(({ headers }) => headers.get('ce-id')))
    const written = (name: string) => recordsOf(name).map(({ headers }) => headers['ce-id'])
    expect(committed).toHaveLength(40)
    expect(ids(committed)).toEqual(new Set([...written('first'), ...written('second')]))
    expect(everything).toHaveLength(60)
    expect(ids(everything)).toEqual(
      new Set([...written('first'), ...written('aborted'), ...written('second')]),
    )
    expect(committed.find(({ headers }) => headers.get('ce-id') === 'second:7')).toMatchObject({
      topic,
      key: 'key 7',
      value: Buffer.from('{"in":"second",\n"number":7}'),
    })
  })

  test('is not judged while a transaction is open, for what it holds may still be committed', async () => {
    const topic = await createTopic('audit')
    await inTransactions(async (next) => {
      const open = await next()
      await open.send({ topic, messages: recordsOf('open') })
      const reading = readTopic({
        ...sharedStack().kafka,
        topic,
        isolation: 'read_committed',
        withinMs: 2_000,
      })
      await expect(reading).rejects.toThrow(AuditError)
      await expect(reading).rejects.toThrow(/a transaction is open/)
      await open.commit()
    })
    expect(await readTopic({ ...sharedStack().kafka, topic, isolation: 'read_committed' })).toHaveLength(20)
  })

  test('says so when it does not exist', async () => {
    const reading = readTopic({
      ...sharedStack().kafka,
      topic: randomName('absent'),
      isolation: 'read_committed',
    })
    await expect(reading).rejects.toThrow(/does not exist/)
  })
})
