import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { createTopic, startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { expect, test } from 'vitest'

/** The features of a cluster and their levels, by Apache's tool of the version that runs. */
const finalized = async (kafka: PrivateKafka): Promise<ReadonlyMap<string, string>> => {
  const tool = ['org.apache.kafka.tools.FeatureCommand', '--bootstrap-server', kafka.address, 'describe']
  const { stdout } = await promisify(execFile)('java', ['-cp', kafka.classpath, ...tool])
  const lines = stdout.matchAll(/^Feature: (\S+)\s.*FinalizedVersionLevel: (\S+)/gm)
  return new Map(Array.from(lines, ([, name = '', level = '']) => [name, level]))
}

test('a broker of Kafka 3.9 runs its own jars, and starts again after a kill', async () => {
  await using kafka = await startPrivateKafka({ version: '3.9' })
  await createTopic('orders', { brokers: kafka.brokers })
  const features = await finalized(kafka)
  expect(features.get('metadata.version')).toBe('3.9-IV0')
  expect(features.get('transaction.version')).toBeUndefined()
  expect(kafka.judgeClasspath).not.toBe(kafka.classpath)

  await kafka.kill()
  await kafka.start()

  await createTopic('orders', { brokers: kafka.brokers })
})

test('a cluster begins with the transaction.version asked for, and changes it while it runs', async () => {
  await using kafka = await startPrivateKafka({ features: { 'transaction.version': 1 } })
  expect((await finalized(kafka)).get('transaction.version')).toBe('1')
  await kafka.alterFeature('transaction.version', 2)
  expect((await finalized(kafka)).get('transaction.version')).toBe('2')
  await kafka.alterFeature('transaction.version', 1)
  expect((await finalized(kafka)).get('transaction.version')).toBe('1')
})
