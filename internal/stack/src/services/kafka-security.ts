/** What a broker needs for listeners that are locked: files with certificates and keys, and lines for server.properties. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { CertificateAuthority, CertificateRequest } from './certificates.js'
import type { KafkaNodesOptions } from './kafka-nodes.js'
import { host } from './kafka-settings.js'
import { issuerName, type TokenIssuer } from './token-issuer.js'

/** The user that may do anything: the brokers themselves, and whoever sets a test up. */
export const superUser = 'admin'

export const scramMechanisms = ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const

export interface SecurityParts {
  /** Its files go here. */
  readonly directory: string
  readonly authority: CertificateAuthority
  readonly issuer: TokenIssuer
  /** Whom tokens must be meant for. */
  readonly audience: string
  /** By user, {@link superUser} among them. */
  readonly passwords: Readonly<Record<string, string>>
}

export type KafkaSecurity = Required<
  Pick<KafkaNodesOptions, 'listeners' | 'controllerProtocol' | 'settings' | 'formatOptions' | 'javaOptions'>
>

const module = (name: string): string => `org.apache.kafka.common.security.${name}`

// Controllers and brokers log in too. Left in as ANONYMOUS, they would need everybody's ANONYMOUS to be a super user.
const plainListener = (name: string, passwords: Readonly<Record<string, string>>): Record<string, string> => {
  const users = Object.entries(passwords).map(([user, password]) => `user_${user}="${password}"`)
  const self = `username="${superUser}" password="${passwords[superUser]}"`
  return {
    [`listener.name.${name}.plain.sasl.jaas.config`]: `${module('plain.PlainLoginModule')} required ${self} ${users.join(' ')};`,
  }
}

const tlsListener = async (
  name: string,
  { directory, authority }: SecurityParts,
  request: Partial<CertificateRequest> = {},
): Promise<Record<string, string>> => {
  const { cert, key } = await authority.issue({
    commonName: 'broker',
    hosts: [host, 'localhost'],
    ...request,
  })
  const keyStore = path.join(directory, `${name}.pem`)
  await writeFile(keyStore, `${key}${cert}`)
  return {
    [`listener.name.${name}.ssl.keystore.type`]: 'PEM',
    [`listener.name.${name}.ssl.keystore.location`]: keyStore,
  }
}

const mutualTlsListener = async (name: string, parts: SecurityParts): Promise<Record<string, string>> => {
  const trustStore = path.join(parts.directory, `${name}-trusted.pem`)
  await writeFile(trustStore, parts.authority.pem)
  return {
    ...(await tlsListener(name, parts)),
    [`listener.name.${name}.ssl.client.auth`]: 'required',
    [`listener.name.${name}.ssl.truststore.type`]: 'PEM',
    [`listener.name.${name}.ssl.truststore.location`]: trustStore,
  }
}

const tokenListener = (name: string, keySetUrl: string, audience: string): Record<string, string> => ({
  [`listener.name.${name}.oauthbearer.sasl.jaas.config`]: `${module('oauthbearer.OAuthBearerLoginModule')} required;`,
  [`listener.name.${name}.oauthbearer.sasl.server.callback.handler.class`]: module(
    'oauthbearer.OAuthBearerValidatorCallbackHandler',
  ),
  'sasl.oauthbearer.jwks.endpoint.url': keySetUrl,
  'sasl.oauthbearer.expected.audience': audience,
  'sasl.oauthbearer.expected.issuer': issuerName,
})

const scramListener = (name: string): Record<string, string> =>
  Object.fromEntries(
    scramMechanisms.map((mechanism) => [
      `listener.name.${name}.${mechanism.toLowerCase()}.sasl.jaas.config`,
      `${module('scram.ScramLoginModule')} required;`,
    ]),
  )

/** Writes the files, and returns what {@link startKafkaNodes} is to be given. */
export const kafkaSecurity = async (parts: SecurityParts): Promise<KafkaSecurity> => {
  const { directory, issuer, audience, passwords } = parts
  await mkdir(directory, { recursive: true })
  const keySet = path.join(directory, 'jwks.json')
  await writeFile(keySet, issuer.keySet)
  const keySetUrl = pathToFileURL(keySet).href
  return {
    listeners: [
      { name: 'ADMIN', protocol: 'SASL_PLAINTEXT' },
      { name: 'TLS', protocol: 'SSL' },
      { name: 'MUTUAL', protocol: 'SSL' },
      { name: 'SASL', protocol: 'SASL_SSL' },
      { name: 'MISNAMED', protocol: 'SSL' },
      { name: 'EXPIRED', protocol: 'SSL' },
    ],
    controllerProtocol: 'SASL_PLAINTEXT',
    settings: {
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'allow.everyone.if.no.acl.found': 'false',
      'super.users': `User:${superUser}`,
      // One name for a user, whichever way it came in.
      'ssl.principal.mapping.rules': 'RULE:^CN=([^,]*).*$/$1/',
      'num.network.threads': '1', // each listener has so many
      'sasl.mechanism.inter.broker.protocol': 'PLAIN',
      'sasl.mechanism.controller.protocol': 'PLAIN',
      'listener.name.admin.sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.controller.sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.sasl.sasl.enabled.mechanisms': ['PLAIN', ...scramMechanisms, 'OAUTHBEARER'].join(','),
      ...plainListener('admin', passwords),
      ...plainListener('controller', passwords),
      ...plainListener('sasl', passwords),
      ...scramListener('sasl'),
      ...tokenListener('sasl', keySetUrl, audience),
      ...(await tlsListener('tls', parts)),
      ...(await tlsListener('sasl', parts)),
      ...(await tlsListener('misnamed', parts, { hosts: ['broker.example'] })),
      ...(await tlsListener('expired', parts, { expired: true })),
      ...(await mutualTlsListener('mutual', parts)),
    },
    formatOptions: Object.entries(passwords).flatMap(([user, password]) =>
      scramMechanisms.flatMap((mechanism) => [
        '--add-scram',
        `${mechanism}=[name=${user},password=${password}]`,
      ]),
    ),
    javaOptions: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${keySetUrl}`],
  }
}
