import { OutboxError, type ErrorCode } from '@oncebox/core'
import type { BrokerAddress, ResolvedKafkaOptions } from './options.js'

/** What a connection was to be, and how far it came. */
export interface FailedConnection {
  readonly address: BrokerAddress
  readonly options: Pick<ResolvedKafkaOptions, 'ssl' | 'sasl'>
  /** Requests that were answered. */
  readonly answered: number
}

/**
 * Why a connection could not be made or was lost. A network that is down may come back; a certificate that one side
 * refuses will be refused again, so that is another code, and nobody tries it again until a deadline.
 */
export function connectionFailure(cause: unknown, connection: FailedConnection): OutboxError {
  if (OutboxError.is(cause)) return cause
  const { host, port } = connection.address
  const code = codeOf(cause)
  const [failure, reason]: [ErrorCode, string] = isTlsCode(code)
    ? ['KAFKA_TLS_FAILED', tlsReason(code, messageOf(cause))]
    : ['KAFKA_UNAVAILABLE', `${messageOf(cause)}${hint(cause, connection)}`]
  return new OutboxError(failure, `broker ${host}:${port}: ${reason}`, {
    cause,
    details: { host, port, ...(code !== '' && { reason: code }) },
  })
}

// What Node's tls names its errors after: OpenSSL's results of verifying a certificate (`X509_V_ERR_…`).
const certificateCodes: ReadonlySet<string> = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_CRL',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'CERT_SIGNATURE_FAILURE',
  'CRL_SIGNATURE_FAILURE',
  'CERT_NOT_YET_VALID',
  'CERT_HAS_EXPIRED',
  'CRL_NOT_YET_VALID',
  'CRL_HAS_EXPIRED',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_CHAIN_TOO_LONG',
  'CERT_REVOKED',
  'INVALID_CA',
  'PATH_LENGTH_EXCEEDED',
  'INVALID_PURPOSE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'HOSTNAME_MISMATCH',
])

// A handshake that takes too long says nothing about certificates.
const isTlsCode = (code: string): boolean =>
  certificateCodes.has(code) ||
  code === 'EPROTO' ||
  code.startsWith('ERR_SSL_') ||
  (code.startsWith('ERR_TLS_') && code !== 'ERR_TLS_HANDSHAKE_TIMEOUT')

const certificateAlert = /ALERT_.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/

/** OpenSSL's own words, without its file names and addresses; a refusal of our certificate says whose it is. */
function tlsReason(code: string, message: string): string {
  const words = /error:[0-9A-F]+:[^:]*:[^:]*:([^:]+)/i.exec(message)?.[1] ?? message.trim()
  if (certificateAlert.test(code)) return `it refuses the certificate of this client, or misses one: ${words}`
  return `TLS failed: ${words}`
}

/** A listener that wants TLS or SASL hangs up on whoever comes without, and says nothing. */
function hint(cause: unknown, { options, answered }: FailedConnection): string {
  if (codeOf(cause) === 'ECONNRESET' && messageOf(cause).includes('before secure TLS connection'))
    return ' (does this listener speak TLS?)'
  if (!(cause instanceof Error) || cause.name !== 'KafkaJSConnectionClosedError') return ''
  if (answered === 0 && options.ssl === undefined) return ' (does this listener want TLS? `ssl` is not set)'
  if (answered <= 1 && options.sasl === undefined) return ' (does this listener want SASL? `sasl` is not set)'
  return ''
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const codeOf = (cause: unknown): string =>
  typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string'
    ? cause.code
    : ''
