import { inspect } from 'node:util'
import { startProxy } from '@internal/proxy'
import { createTopic, randomName, startSecuredKafka, type Acl, type SecuredKafka } from '@internal/stack'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  connectKafka,
  ensureProgressTopic,
  openSession,
  readLastValue,
  readPartition,
  type KafkaOptions,
} from '../src/index.js'
import { numbered, recordsOf } from './fixture.js'

let kafka: SecuredKafka
let topic: string

beforeAll(async () => {
  // Brokers end sessions that have not logged in again after this long; kafkajs does so 10 s before.
  const settings = { 'listener.name.sasl.oauthbearer.connections.max.reauth.ms': '11500' }
  kafka = await startSecuredKafka({ users: ['relay'], settings })
  topic = await createTopic('events', kafka.admin)
  await kafka.grant(['relay', 'ANONYMOUS'].flatMap(whatASessionNeeds))
})
afterAll(() => kafka[Symbol.asyncDispose]())

const whatASessionNeeds = (user: string): Acl[] => [
  { user, operation: 'Write', resource: 'transactional-id', name: '*' },
  ...(['Create', 'Read', 'Write', 'DescribeConfigs'] as const).map((operation) => ({
    user,
    operation,
    resource: 'topic' as const,
    name: '*',
  })),
]

type Sasl = NonNullable<KafkaOptions['sasl']>
type Login = () => Promise<KafkaOptions> | KafkaOptions

const trusted = (): { ca: string } => ({ ca: kafka.authority })
const overTls = (sasl: Sasl): KafkaOptions => ({ brokers: kafka.listeners.sasl, ssl: trusted(), sasl })
const passwordLogin =
  (mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512', password?: string): Login =>
  () =>
    // One of a union by mechanism, whichever it is.
    overTls({ mechanism, username: 'relay', password: password ?? kafka.password('relay') } as Sasl)
const tokenLogin =
  (options: Parameters<SecuredKafka['token']>[1] = {}): Login =>
  () => {
    const value = kafka.token('relay', options)
    return overTls({ mechanism: 'oauthbearer', oauthBearerProvider: () => Promise.resolve({ value }) })
  }
const certificateLogin =
  (options: Parameters<SecuredKafka['certificate']>[1] = {}): Login =>
  async () => ({
    brokers: kafka.listeners.mutualTls,
    ssl: { ...trusted(), ...(await kafka.certificate('relay', options)) },
  })

const logins: readonly (readonly [name: string, login: Login])[] = [
  ['TLS', () => ({ brokers: kafka.listeners.tls, ssl: trusted() })],
  ['mutual TLS', certificateLogin()],
  ['PLAIN', passwordLogin('plain')],
  ['SCRAM-SHA-256', passwordLogin('scram-sha-256')],
  ['SCRAM-SHA-512', passwordLogin('scram-sha-512')],
  ['OAUTHBEARER', tokenLogin()],
]

test.each(logins)('over %s a session opens, publishes, and its last position is found', async (_, login) => {
  await using client = await connectKafka(await login())
  const at = { topic: randomName('progress'), partition: 0 }
  await ensureProgressTopic(client, { topic: at.topic, partitions: 1 })
  const claim = { ...at, key: Buffer.from('claim'), value: Buffer.from('claim') }
  const shard = randomName('shard')
  const options = { transactionalIds: [`${shard}:a`, `${shard}:b`], claim } as const
  await using session = await openSession(client, options)
  const { maxMessageBytes } = await client.describeTopic(topic)
  const position = recordsOf(at.topic, 0, maxMessageBytes, ['position'])
  await session.publish({ partitions: [recordsOf(topic, 0, maxMessageBytes, ['event']), position] })

  await using next = await openSession(client, options)
  const last = await readLastValue(client, {
    ...at,
    key: Buffer.from('position'),
    beforeOffset: next.claimOffset,
  })
  expect(last?.value.toString()).toBe('position')
})

const wrong = 'canary-of-a-password'
const tlsFailed = 'KAFKA_TLS_FAILED'
const notAuthenticated = 'KAFKA_AUTHENTICATION_FAILED'
// What could as well be a network that is down; the message says what it may be.
const unavailable = 'KAFKA_UNAVAILABLE'

const refusals: readonly (readonly [name: string, login: Login, code: string, message: RegExp])[] = [
  [
    'a broker of an authority that is not trusted',
    () => ({ brokers: kafka.listeners.tls, ssl: { ca: kafka.foreignAuthority } }),
    tlsFailed,
    /unable to verify/,
  ],
  [
    'a broker whose certificate is for another host',
    () => ({ brokers: kafka.listeners.misnamed, ssl: trusted() }),
    tlsFailed,
    /127\.0\.0\.1 is not in the cert's list/,
  ],
  [
    'a broker whose certificate has expired',
    () => ({ brokers: kafka.listeners.expired, ssl: trusted() }),
    tlsFailed,
    /certificate has expired/,
  ],
  [
    'a client without a certificate',
    () => ({ brokers: kafka.listeners.mutualTls, ssl: trusted() }),
    tlsFailed,
    /refuses the certificate of this client, or misses one/,
  ],
  [
    'a client certificate of an authority that the broker does not trust',
    certificateLogin({ foreign: true }),
    tlsFailed,
    /refuses the certificate of this client/,
  ],
  [
    'a client certificate that has expired',
    certificateLogin({ expired: true }),
    tlsFailed,
    /refuses the certificate of this client/,
  ],
  [
    'a key that cannot be read',
    () => ({ brokers: kafka.listeners.mutualTls, ssl: { ...trusted(), cert: kafka.authority, key: wrong } }),
    'KAFKA_OPTIONS_INVALID',
    /^ssl: /,
  ],
  ['a wrong password with PLAIN', passwordLogin('plain', wrong), notAuthenticated, /PLAIN.*failed/],
  ['a wrong password with SCRAM-SHA-256', passwordLogin('scram-sha-256', wrong), notAuthenticated, /SHA-256/],
  ['a wrong password with SCRAM-SHA-512', passwordLogin('scram-sha-512', wrong), notAuthenticated, /SHA-512/],
  ['a token of a foreign issuer', tokenLogin({ foreign: true }), notAuthenticated, /invalid_token/],
  ['a token that has expired', tokenLogin({ lifetimeMs: -60_000 }), notAuthenticated, /invalid_token/],
  [
    'a mechanism that the listener does not know',
    () => ({
      brokers: kafka.admin.brokers,
      sasl: { mechanism: 'scram-sha-512', username: 'relay', password: wrong },
    }),
    notAuthenticated,
    /mechanism/,
  ],
  [
    'a password at a listener without SASL',
    () => ({
      brokers: kafka.listeners.tls,
      ssl: trusted(),
      sasl: { mechanism: 'plain', username: 'relay', password: wrong },
    }),
    notAuthenticated,
    /SASL/,
  ],
  [
    'nobody at a listener with SASL',
    () => ({ brokers: kafka.listeners.sasl, ssl: trusted() }),
    unavailable,
    /does this listener want SASL\?/,
  ],
  [
    'plain text at a listener with TLS',
    () => ({ brokers: kafka.listeners.tls }),
    unavailable,
    /does this listener want TLS\?/,
  ],
  [
    'TLS at a listener for plain text',
    () => ({ brokers: kafka.admin.brokers, ssl: trusted() }),
    unavailable,
    /does this listener speak TLS\?/,
  ],
]

test.each(refusals)('%s is refused, typed, and no secret is told', async (_, login, code, message) => {
  const options = await login()
  const error: unknown = await connectKafka(options).catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) as string })
  const told = inspect(error, { depth: Infinity, showHidden: true })
  for (const secret of await secretsOf(options)) expect(told).not.toContain(secret)
})

/** Whatever of these options nobody may read in a log. */
async function secretsOf({ ssl, sasl }: KafkaOptions): Promise<string[]> {
  const secrets: string[] = []
  if (sasl !== undefined && 'password' in sasl) secrets.push(sasl.password)
  if (sasl !== undefined && 'oauthBearerProvider' in sasl) {
    const [, claims = '', signature = ''] = (await sasl.oauthBearerProvider()).value.split('.')
    secrets.push(claims, signature)
  }
  if (typeof ssl === 'object' && typeof ssl.key === 'string')
    secrets.push(...ssl.key.split('\n').filter((line) => line !== '' && !line.startsWith('-----')))
  return secrets
}

test('a broker with a bad certificate does not stand in the way to one with a good one', async () => {
  const brokers = [...kafka.listeners.misnamed, ...kafka.listeners.tls]
  await using client = await connectKafka({ brokers, ssl: trusted() })
  expect(client.clusterId).not.toBe('')
})

test('a broker that dies while somebody logs in is unavailable, and no wrong password', async () => {
  const [host = '', port = ''] = kafka.admin.brokers[0]?.split(':') ?? []
  await using proxy = await startProxy({ protocol: 'kafka', upstream: { host, port: Number(port) } })
  using cut = proxy.on({ request: 'SaslAuthenticate' }, 'cut-before')
  const login = { brokers: [`${proxy.host}:${proxy.port}`], sasl: kafka.admin.sasl }
  const connecting = connectKafka(login)
  await cut.fired
  await using client = await connecting // the next attempt
  expect(client.clusterId).not.toBe('')
})

test('a session that outlives its token goes on with a new one', async () => {
  let tokens = 0
  const oauthBearerProvider = () =>
    Promise.resolve({ value: kafka.token('relay', { lifetimeMs: ++tokens * 60_000 }) })
  await using client = await connectKafka(overTls({ mechanism: 'oauthbearer', oauthBearerProvider }))
  const at = { topic: randomName('progress'), partition: 0 }
  await ensureProgressTopic(client, { topic: at.topic, partitions: 1 })
  const claim = { ...at, key: Buffer.from('claim'), value: Buffer.from('claim') }
  const shard = randomName('shard')
  await using session = await openSession(client, { transactionalIds: [`${shard}:a`, `${shard}:b`], claim })
  const tokensAtStart = tokens
  const endMs = performance.now() + 12_500
  let published = 0
  while (performance.now() < endMs) {
    await session.publish({ partitions: [recordsOf(at.topic, 0, 1_000_000, [`event-${published++}`])] })
  }
  expect(tokens).toBeGreaterThan(tokensAtStart)
  const values: string[] = []
  for await (const { value } of readPartition(client, at)) values.push(String(value))
  // The markers of the last two transactions may still be on their way.
  const read = values.slice(1)
  expect(read).toEqual(numbered('event', published).slice(0, read.length))
  expect(read.length).toBeGreaterThanOrEqual(published - 2)
})
