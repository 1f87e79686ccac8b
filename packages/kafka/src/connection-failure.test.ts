import { describe, expect, test } from 'vitest'
import { connectionFailure } from './connection-failure.js'

const connection = {
  address: { host: 'kafka-1', port: 9_093 },
  options: { ssl: true, sasl: undefined },
  answered: 5,
}
const failed = (code: string, message = 'why'): Error => Object.assign(new Error(message), { code })

describe('a connection that failed', () => {
  test.each([
    'CERT_HAS_EXPIRED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'EPROTO',
  ])('with %s over its certificates will fail again', (code) => {
    const failure = connectionFailure(failed(code), connection)
    expect(failure).toMatchObject({ code: 'KAFKA_TLS_FAILED', details: { host: 'kafka-1', reason: code } })
    expect(failure.retriable).toBe(false)
  })

  test.each(['ECONNREFUSED', 'ENOTFOUND', 'ETIMEDOUT', 'ERR_TLS_HANDSHAKE_TIMEOUT'])(
    'with %s may work later',
    (code) => {
      const failure = connectionFailure(failed(code), connection)
      expect(failure).toMatchObject({ code: 'KAFKA_UNAVAILABLE', message: 'broker kafka-1:9093: why' })
      expect(failure.retriable).toBe(true)
    },
  )

  test("names OpenSSL's reason without its file names", () => {
    const message =
      '8024:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:../rec_layer_s3.c:1601:SSL alert number 42\n'
    const failure = connectionFailure(failed('ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', message), connection)
    expect(failure.message).toBe(
      'broker kafka-1:9093: it refuses the certificate of this client, or misses one: sslv3 alert bad certificate',
    )
  })

  test('once it has worked, guesses nothing about its listener', () => {
    const closed = Object.assign(new Error('Closed connection'), { name: 'KafkaJSConnectionClosedError' })
    const told = (answered: number): string => connectionFailure(closed, { ...connection, answered }).message
    expect(told(1)).toContain('want SASL?')
    expect(told(2)).toBe('broker kafka-1:9093: Closed connection')
  })
})
