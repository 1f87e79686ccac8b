import { Kafka, logLevel, type Admin } from 'kafkajs'

/** Asks and moves, past the proxies; reads and writes no record. */
export async function withAdmin<Result>(
  brokers: readonly string[],
  work: (admin: Admin) => Promise<Result>,
): Promise<Result> {
  const admin = new Kafka({ clientId: 'ground', brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}
