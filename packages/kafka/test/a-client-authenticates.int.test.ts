import { startPrivateKafka } from '@internal/stack'
import { expect, test } from 'vitest'
import { connectKafka, ensureProgressTopic, openSession, readPartition } from '../src/index.js'
import { numbered, recordsOf } from './fixture.js'

const users = 'username="admin" password="admin-secret" user_admin="admin-secret" user_relay="relay-secret"'

test('SASL lets the right password in, refuses the wrong one, and sessions that outlive their token go on', async () => {
  await using kafka = await startPrivateKafka({
    settings: {
      'listener.security.protocol.map': 'PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
      'inter.broker.listener.name': 'PLAINTEXT',
      'sasl.enabled.mechanisms': 'PLAIN',
      'sasl.mechanism.inter.broker.protocol': 'PLAIN',
      'listener.name.plaintext.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${users};`,
      // The broker ends connections that have not authenticated again after this long; kafkajs does so 10 s before.
      'connections.max.reauth.ms': '11500',
    },
  })
  const { brokers } = kafka
  const sasl = (password: string) => ({ mechanism: 'plain', username: 'relay', password }) as const
  await expect(connectKafka({ brokers, sasl: sasl('wrong') })).rejects.toMatchObject({
    code: 'KAFKA_AUTHORIZATION_FAILED',
  })

  await using client = await connectKafka({ brokers, sasl: sasl('relay-secret') })
  const topic = 'progress'
  await ensureProgressTopic(client, { topic, partitions: 1 })
  const claim = { topic, partition: 0, key: Buffer.from('claim'), value: Buffer.from('claim') }
  await using session = await openSession(client, { transactionalIds: ['a', 'b'], claim })
  const endMs = performance.now() + 12_500
  let published = 0
  while (performance.now() < endMs) {
    await session.publish({ partitions: [recordsOf(topic, 0, 1_000_000, [`event-${published++}`])] })
  }
  const values: string[] = []
  for await (const { value } of readPartition(client, { topic, partition: 0 })) values.push(String(value))
  // The markers of the last two transactions may still be on their way.
  const read = values.slice(1)
  expect(read).toEqual(numbered('event', published).slice(0, read.length))
  expect(read.length).toBeGreaterThanOrEqual(published - 2)
})
