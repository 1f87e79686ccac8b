import { OutboxError } from '@oncebox/core'
import type { AuthenticationProviderArgs, KafkaConfig, Mechanism, SaslAuthenticateArgs } from 'kafkajs'

type Sasl = NonNullable<KafkaConfig['sasl']>
interface Token {
  readonly value: string
  /** kafkajs's types leave them out. */
  readonly extensions?: Readonly<Record<string, string>>
}
type TokenProvider = () => Promise<Token>

/** As kafkajs takes it: a copy, since kafkajs keeps its authenticator in the object; OAUTHBEARER with one of ours. */
export function resolveSasl(sasl: Sasl): Sasl {
  if ('oauthBearerProvider' in sasl) return oauthBearer(sasl.oauthBearerProvider)
  return { ...sasl }
}

/**
 * OAUTHBEARER (RFC 7628). A broker answers a token that it refuses with the reason and no error; the error comes when
 * the client has acknowledged that. kafkajs does not, and takes the reason for success: Metadata is then answered with
 * an empty cluster.
 */
function oauthBearer(provideToken: TokenProvider): Mechanism {
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: ({ saslAuthenticate }) => ({
      authenticate: async () => {
        const { value, extensions = {} } = await tokenFrom(provideToken)
        const pairs = Object.entries(extensions).map(([name, text]) => `${name}=${text}${separator}`)
        const refusal = await exchange(
          saslAuthenticate,
          `n,,${separator}auth=Bearer ${value}${separator}${pairs.join('')}${separator}`,
        )
        if (refusal === '') return
        await exchange(saslAuthenticate, separator)
        throw new Error(`the token was refused: ${refusal}`) // whatever the broker thinks of our acknowledgement
      },
    }),
  }
}

const separator = '\u0001'

/** A provider that cannot be reached may be reached later. */
async function tokenFrom(provideToken: TokenProvider): Promise<Token> {
  try {
    return await provideToken()
  } catch (cause) {
    throw new OutboxError('KAFKA_UNAVAILABLE', 'the OAuth token could not be had from its provider', {
      cause,
    })
  }
}

/** Sends bytes and returns those of the answer, which kafkajs hands over with their length before them. */
async function exchange(
  saslAuthenticate: AuthenticationProviderArgs['saslAuthenticate'],
  text: string,
): Promise<string> {
  const exchangeOfBytes: SaslAuthenticateArgs<string> = {
    request: { encode: () => sized(Buffer.from(text)) },
    response: { decode: (raw) => raw, parse: (raw) => raw.subarray(4).toString() },
  }
  return (await saslAuthenticate(exchangeOfBytes)) ?? ''
}

function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
