/** A Kafka broker behind TLS, SASL and ACLs, each kind of lock on a listener of its own, so that one start serves all. */
import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Kafka, logLevel, type Admin } from 'kafkajs'
import { grant, revoke, type Acl } from './kafka-acls.js'
import { nodeOf, quickStart, shortSession, type KafkaNode } from './kafka-node.js'
import { theLifeline } from './lifeline.js'
import type { Say } from './progress.js'
import { randomName } from './random-name.js'
import { CertificateAuthority, type Certificate } from './services/certificates.js'
import { kafkaClasspath } from './services/kafka-jars.js'
import { startKafkaNodes } from './services/kafka-nodes.js'
import type { KafkaVersion } from './services/kafka-releases.js'
import { kafkaRuntime, type KafkaRuntime } from './services/kafka-runtime.js'
import { kafkaSecurity, scramMechanisms, superUser } from './services/kafka-security.js'
import { properties } from './services/kafka-settings.js'
import { runKafkaTool } from './services/kafka-tool.js'
import { TokenIssuer } from './services/token-issuer.js'

export interface SecuredKafkaOptions {
  readonly version?: KafkaVersion
  /** Lines for server.properties. */
  readonly settings?: Readonly<Record<string, string>>
  /** Known to PLAIN and SCRAM, and without a single ACL; `relay` and `consumer` unless given. */
  readonly users?: readonly string[]
  readonly signal?: AbortSignal
}

/** `host:port` of each listener, as a list of brokers to ask first. Whatever the listener, a user is the same principal. */
export interface SecuredListeners {
  /** TLS; a client is `User:ANONYMOUS`. */
  readonly tls: readonly string[]
  /** TLS that asks for the client's certificate; its CN is the user. */
  readonly mutualTls: readonly string[]
  /** SASL over TLS: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER. */
  readonly sasl: readonly string[]
  /** TLS with a certificate for another host. */
  readonly misnamed: readonly string[]
  /** TLS with a certificate that ended yesterday. */
  readonly expired: readonly string[]
}

/** The super user's way in, past TLS. */
export interface KafkaAdministrator {
  readonly brokers: readonly string[]
  readonly sasl: { readonly mechanism: 'plain'; readonly username: string; readonly password: string }
  /** Of Apache's tools: the file for `--command-config`. */
  readonly commandConfig: string
}

export interface ClientCertificateOptions {
  /** Signed by an authority that the broker does not trust. */
  readonly foreign?: boolean
  readonly expired?: boolean
}

export interface TokenOptions {
  /** Signed with a key that the broker does not know. */
  readonly foreign?: boolean
  /** From now, one hour unless given; negative for a token that has expired. */
  readonly lifetimeMs?: number
}

export interface SecuredKafka extends Omit<KafkaNode, 'address'>, AsyncDisposable {
  readonly classpath: string
  readonly judgeClasspath: string
  readonly listeners: SecuredListeners
  readonly admin: KafkaAdministrator
  /** PEM: signed every certificate of the broker. */
  readonly authority: string
  /** PEM: signed none. */
  readonly foreignAuthority: string
  certificate(user: string, options?: ClientCertificateOptions): Promise<Certificate>
  token(user: string, options?: TokenOptions): string
  password(user: string): string
  /** Resolves when the broker goes by them. */
  grant(acls: readonly Acl[]): Promise<void>
  /** Resolves when the broker goes without them. */
  revoke(acls: readonly Acl[]): Promise<void>
  /** Runs Apache's `kafka-acls` with these arguments, as the super user; whatever servers and login they name. */
  kafkaAcls(args: readonly string[]): Promise<void>
  /** Adds a user to both SCRAM mechanisms or changes its password; without a password, removes it. */
  alterScramUser(user: string, password?: string): Promise<void>
}

const silent: Say = () => undefined
const audience = 'kafka'
const hourMs = 3_600_000

/** Starts one broker of one's own whose listeners are locked and whose authorizer allows nothing. */
export const startSecuredKafka = async (options: SecuredKafkaOptions = {}): Promise<SecuredKafka> => {
  const { users = ['relay', 'consumer'], settings, signal } = options
  const directory = path.join(theLifeline().runDirectory, randomName('kafka'))
  const runtime = await kafkaRuntime(silent, signal, options.version)
  const judgeClasspath = await kafkaClasspath(silent, signal)
  const [authority, foreignAuthority] = [
    await CertificateAuthority.create('authority'),
    await CertificateAuthority.create('foreign authority'),
  ]
  const [issuer, foreignIssuer] = [await TokenIssuer.create(), await TokenIssuer.create()]
  const passwords = new Map([superUser, ...users].map((user) => [user, randomBytes(12).toString('hex')]))
  const password = (user: string): string => {
    const known = passwords.get(user)
    if (known === undefined) throw new Error(`the broker knows no user ${user}`)
    return known
  }
  const security = await kafkaSecurity({
    directory: path.join(directory, 'security'),
    authority,
    issuer,
    audience,
    passwords: Object.fromEntries(passwords),
  })
  const brokers = await startKafkaNodes({
    ...security,
    runtime,
    directory,
    settings: { ...shortSession, ...security.settings, ...settings },
    javaOptions: [...quickStart, ...(security.javaOptions ?? [])],
    say: silent,
    signal,
  })
  const at = (listener: string): readonly string[] => brokers.map((broker) => broker.addressOf(listener))
  const destroy = async (): Promise<void> => {
    await Promise.all(brokers.map((broker) => broker.destroy()))
    await rm(directory, { recursive: true, force: true })
  }
  const admin = { brokers: at('ADMIN'), ...(await administrator(directory, password(superUser))) }
  const { address: _, ...node } = nodeOf(brokers, 1)
  return {
    ...node,
    classpath: runtime.classpath,
    judgeClasspath,
    listeners: {
      tls: at('TLS'),
      mutualTls: at('MUTUAL'),
      sasl: at('SASL'),
      misnamed: at('MISNAMED'),
      expired: at('EXPIRED'),
    },
    admin,
    authority: authority.pem,
    foreignAuthority: foreignAuthority.pem,
    certificate: (user, { foreign = false, expired = false } = {}) =>
      (foreign ? foreignAuthority : authority).issue({ commonName: user, expired }),
    token: (user, { foreign = false, lifetimeMs = hourMs } = {}) =>
      (foreign ? foreignIssuer : issuer).issue({ subject: user, audience, lifetimeMs }),
    password,
    grant: (acls) => withAdmin(admin, (client) => grant(client, acls)),
    revoke: (acls) => withAdmin(admin, (client) => revoke(client, acls)),
    kafkaAcls: async (args) => {
      const [tools, login] = [await kafkaRuntime(silent, signal), loginArguments(admin)]
      await runKafkaTool(tools, 'org.apache.kafka.tools.AclCommand', [...withoutLogin(args), ...login])
    },
    alterScramUser: (user, newPassword) => alterScramUser(runtime, admin, user, newPassword),
    [Symbol.asyncDispose]: destroy,
  }
}

const administrator = async (
  directory: string,
  password: string,
): Promise<Omit<KafkaAdministrator, 'brokers'>> => {
  const commandConfig = path.join(directory, 'admin.properties')
  const login = `username="${superUser}" password="${password}"`
  await writeFile(
    commandConfig,
    properties({
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'PLAIN',
      'sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${login};`,
    }),
  )
  return { commandConfig, sasl: { mechanism: 'plain', username: superUser, password } }
}

const withAdmin = async <T>(
  { brokers, sasl }: KafkaAdministrator,
  work: (admin: Admin) => Promise<T>,
): Promise<T> => {
  const client = new Kafka({ clientId: 'stack', brokers: [...brokers], sasl, logLevel: logLevel.NOTHING })
  const admin = client.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

const loginArguments = ({ brokers, commandConfig }: KafkaAdministrator): string[] => [
  '--bootstrap-server',
  brokers.join(','),
  '--command-config',
  commandConfig,
]

const withoutLogin = (args: readonly string[]): string[] =>
  args.filter((word, index) => !isLogin(word) && !isLogin(args[index - 1]))

const isLogin = (word: string | undefined): boolean =>
  word === '--bootstrap-server' || word === '--command-config'

/** One command per mechanism: Kafka refuses to alter two of one user in one request. */
const alterScramUser = async (
  runtime: KafkaRuntime,
  admin: KafkaAdministrator,
  user: string,
  password: string | undefined,
): Promise<void> => {
  const entity = ['--entity-type', 'users', '--entity-name', user]
  for (const mechanism of scramMechanisms) {
    const change =
      password === undefined
        ? ['--delete-config', mechanism]
        : ['--add-config', `${mechanism}=[password=${password}]`]
    await runKafkaTool(runtime, 'kafka.admin.ConfigCommand', [
      ...loginArguments(admin),
      '--alter',
      ...entity,
      ...change,
    ])
  }
}
