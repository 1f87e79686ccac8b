import { Kafka, logLevel, type Admin } from 'kafkajs'
import { sharedStack } from '@internal/stack'

/** Does something with an administrator's connection. */
export async function withAdmin(work: (admin: Admin) => Promise<unknown>): Promise<void> {
  const admin = new Kafka({
    clientId: 'test',
    brokers: [...sharedStack().kafka.brokers],
    logLevel: logLevel.NOTHING,
  }).admin()
  await admin.connect()
  try {
    await work(admin)
  } finally {
    await admin.disconnect()
  }
}

export async function createNamedTopic(topic: string, numPartitions = 1): Promise<void> {
  await withAdmin((admin) => admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1 }] }))
}
