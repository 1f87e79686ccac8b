import { createTopic, startSecuredKafka, type SecuredKafka } from '@internal/stack'
import { Kafka, logLevel, type KafkaConfig, type SASLOptions } from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'

let kafka: SecuredKafka
let topic: string

beforeAll(async () => {
  kafka = await startSecuredKafka({ users: ['relay'] })
  topic = await createTopic('orders', kafka.admin)
  await kafka.grant([{ user: 'relay', operation: 'Describe', resource: 'topic', name: topic }])
})
afterAll(() => kafka[Symbol.asyncDispose]())

/** Comes in and asks for the topic's offsets; what went wrong, or nothing. */
const refusal = async (config: Omit<KafkaConfig, 'logLevel'>): Promise<string | undefined> => {
  const admin = new Kafka({ logLevel: logLevel.NOTHING, retry: { retries: 0 }, ...config }).admin()
  try {
    await admin.connect()
    await admin.fetchTopicOffsets(topic)
    return undefined
  } catch (error) {
    return String(error)
  } finally {
    await admin.disconnect()
  }
}

const trusted = (): { ca: string } => ({ ca: kafka.authority })
const withSasl = (sasl: KafkaConfig['sasl']): Parameters<typeof refusal>[0] => ({
  brokers: [...kafka.listeners.sasl],
  ssl: trusted(),
  ...(sasl && { sasl }),
})
const withPassword = (mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512', password: string) =>
  withSasl({ mechanism, username: 'relay', password } as SASLOptions) // one of a union by mechanism, whichever it is
const withToken = (value: string) =>
  withSasl({ mechanism: 'oauthbearer', oauthBearerProvider: () => Promise.resolve({ value }) })
const withCertificate = async (options?: { foreign?: boolean; expired?: boolean }) => ({
  brokers: [...kafka.listeners.mutualTls],
  ssl: { ...trusted(), ...(await kafka.certificate('relay', options)) },
})

test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
  'the right password is let in with %s, and a wrong one is not',
  async (mechanism) => {
    expect(await refusal(withPassword(mechanism, kafka.password('relay')))).toBeUndefined()
    expect(await refusal(withPassword(mechanism, 'wrong'))).toMatch(/authentication failed/)
  },
)

test('a token that was signed with the right key is let in, a foreign or expired one is not', async () => {
  expect(await refusal(withToken(kafka.token('relay')))).toBeUndefined()
  expect(await refusal(withToken(kafka.token('relay', { foreign: true })))).toBeDefined()
  expect(await refusal(withToken(kafka.token('relay', { lifetimeMs: -60_000 })))).toBeDefined()
})

test('a client certificate of the right authority is let in, a foreign, an expired and none are not', async () => {
  expect(await refusal(await withCertificate())).toBeUndefined()
  expect(await refusal(await withCertificate({ foreign: true }))).toMatch(/certificate unknown/)
  expect(await refusal(await withCertificate({ expired: true }))).toMatch(/certificate unknown/)
  expect(await refusal({ brokers: [...kafka.listeners.mutualTls], ssl: trusted() })).toMatch(
    /bad certificate/,
  )
})

test('a client refuses a broker of a foreign authority, one under another name, and an expired one', async () => {
  const { tls, misnamed, expired } = kafka.listeners
  expect(await refusal({ brokers: [...tls], ssl: { ca: kafka.foreignAuthority } })).toMatch(
    /unable to verify/,
  )
  expect(await refusal({ brokers: [...misnamed], ssl: trusted() })).toMatch(/does not match/)
  expect(await refusal({ brokers: [...expired], ssl: trusted() })).toMatch(/has expired/)
})

test('whoever is let in may do what was granted, and no more', async () => {
  expect(await refusal({ brokers: [...kafka.listeners.tls], ssl: trusted() })).toMatch(/[Aa]uthoriz/)
  const relay = withPassword('plain', kafka.password('relay'))
  const acl = { user: 'relay', operation: 'Describe', resource: 'topic', name: topic } as const
  await kafka.revoke([acl])
  expect(await refusal(relay)).toMatch(/[Aa]uthoriz/)
  await kafka.grant([acl])
  expect(await refusal(relay)).toBeUndefined()
})

test('a SCRAM user can be added and removed', async () => {
  const added = withSasl({ mechanism: 'scram-sha-512', username: 'added', password: 'secret' })
  await kafka.alterScramUser('added', 'secret')
  expect(await refusal(added)).toMatch(/[Aa]uthoriz/) // it is in, and may do nothing
  await kafka.alterScramUser('added')
  expect(await refusal(added)).toMatch(/authentication failed/)
})
