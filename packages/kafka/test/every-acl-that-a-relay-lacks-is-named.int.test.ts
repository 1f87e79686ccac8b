import { readFile } from 'node:fs/promises'
import {
  aclCommandsFor,
  aclsOf,
  createNamedTopic,
  startSecuredKafka,
  type Acl,
  type SecuredKafka,
} from '@internal/stack'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectKafka, ensureProgressTopic, openSession, readLastValue } from '../src/index.js'
import { kafkaVersions, recordsOf } from './fixture.js'

const [progress, topics] = ['orders.progress', ['orders', 'payments']]
const page = new URL('../../../docs/operations/kafka-access.md', import.meta.url)
const commands = aclCommandsFor(await readFile(page, 'utf8'), 'orders-relay')
const acls = commands.flatMap(aclsOf)
/** Of one user for each ACL, who lacks just that one: so the tests share a broker and wait at the same time. */
const lacking = acls.map((acl, index) => ({ ...acl, user: `lacks-${index}` }))

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  let kafka: SecuredKafka

  beforeAll(async () => {
    const users = ['orders-relay', ...lacking.map(({ user }) => user)]
    kafka = await startSecuredKafka({ version, users })
    for (const topic of topics) await createNamedTopic(topic, kafka.admin)
    for (const { user, ...lacked } of lacking) {
      const others = acls.map((acl) => ({ ...acl, user })).filter((acl) => !isSame(acl, { ...lacked, user }))
      await kafka.grant(others)
    }
  })
  afterAll(() => kafka[Symbol.asyncDispose]())

  test('without Create on the progress topic, one that is missing is not created, and the error names it', async () => {
    const [lacked] = lacking.filter(({ operation }) => operation === 'Create')
    expect(lacked).toMatchObject({ resource: 'topic', name: progress })
    await expect(liveAsRelay(kafka, lacked?.user ?? '')).rejects.toMatchObject(
      denialOf('Create', 'topic', progress),
    )
  })

  test('with exactly the documented ACLs, everything that a relay asks of Kafka is answered', async () => {
    for (const command of commands) await kafka.kafkaAcls(command) // as an operator pastes them
    expect(await liveAsRelay(kafka, 'orders-relay')).toBe('position')
  })

  test.concurrent.each(lacking.filter(({ operation }) => operation !== 'Create'))(
    'without $operation on $resource $name, the error names it',
    async ({ user, operation, resource, name, prefixed }) => {
      const resourceName = prefixed === true ? `${name}${user}:a` : name
      const error = await liveAsRelay(kafka, user).catch((reason: unknown) => reason)
      expect(error).toMatchObject(denialOf(operation, resource, resourceName))
    },
  )
})

const isSame = (one: Acl, other: Acl): boolean =>
  one.operation === other.operation && one.resource === other.resource && one.name === other.name

const denialOf = (operation: string, resourceType: string, resourceName: string) => ({
  code: 'KAFKA_AUTHORIZATION_FAILED',
  message: expect.stringContaining(`${operation} on ${resourceType} ${resourceName}`) as string,
  details: { operation, resourceType, resourceName },
})

/** All that a relay asks of Kafka, from its first connection to the position that it finds at its next start. */
async function liveAsRelay(kafka: SecuredKafka, user: string): Promise<string | undefined> {
  await using client = await connectKafka({
    brokers: kafka.listeners.sasl,
    ssl: { ca: kafka.authority },
    sasl: { mechanism: 'scram-sha-512', username: user, password: kafka.password(user) },
  })
  await ensureProgressTopic(client, { topic: progress, partitions: 1 })
  const at = { topic: progress, partition: 0 }
  const claim = { ...at, key: Buffer.from('claim'), value: Buffer.from('claim') }
  const transactionalIds = [`oncebox:orders:${user}:a`, `oncebox:orders:${user}:b`] as const
  const options = { transactionalIds, claim, topicPatienceMs: 500 }
  await using session = await openSession(client, options)
  const partitions = [recordsOf(progress, 0, 1_000_000, ['position'])]
  for (const topic of topics) {
    const { maxMessageBytes } = await client.describeTopic(topic)
    partitions.push(recordsOf(topic, 0, maxMessageBytes, ['event']))
  }
  await session.publish({ partitions })
  await using next = await openSession(client, options)
  const position = { ...at, key: Buffer.from('position'), beforeOffset: next.claimOffset }
  return (await readLastValue(client, position))?.value.toString()
}
