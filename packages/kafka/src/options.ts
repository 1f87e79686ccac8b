import { OutboxError } from '@oncebox/core'
import { createSecureContext } from 'node:tls'
import type { KafkaConfig } from 'kafkajs'
import { resolveSasl } from './sasl.js'

/** How to reach a Kafka cluster. TLS and SASL are as in kafkajs. */
export interface KafkaOptions {
  /** `host:port` of brokers to ask first; one that answers is enough. */
  readonly brokers: readonly string[]
  /** Shown in the broker's logs and quotas. Default `oncebox`. */
  readonly clientId?: string
  readonly ssl?: NonNullable<KafkaConfig['ssl']>
  readonly sasl?: NonNullable<KafkaConfig['sasl']>
  /** Default 3,000; 100 to 60,000. */
  readonly connectionTimeoutMs?: number
  /** How long one request may stay unanswered. Default 30,000; 1,000 to 300,000. */
  readonly requestTimeoutMs?: number
  /**
   * What one answer of a broker may decompress to when records are read. A batch that is larger by itself is refused with
   * KAFKA_BATCH_TOO_LARGE. Default 67,108,864: 64 times a topic's usual largest batch; 1,048,576 to 1,073,741,824.
   */
  readonly decompressedBytesMax?: number
}

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

export interface ResolvedKafkaOptions {
  readonly seeds: readonly BrokerAddress[]
  readonly clientId: string
  readonly ssl: KafkaOptions['ssl']
  readonly sasl: KafkaOptions['sasl']
  readonly connectionTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly decompressedBytesMax: number
}

const mebibyte = 1024 * 1024

/** @throws OutboxError KAFKA_OPTIONS_INVALID */
export function resolveKafkaOptions(options: KafkaOptions): ResolvedKafkaOptions {
  if (options.brokers.length === 0) throw invalid('brokers is empty: name at least one host:port')
  return Object.freeze({
    seeds: options.brokers.map(parseBroker),
    clientId: options.clientId ?? 'oncebox',
    ssl: resolveTls(options.ssl),
    sasl: options.sasl === undefined ? undefined : resolveSasl(options.sasl),
    connectionTimeoutMs: within('connectionTimeoutMs', options.connectionTimeoutMs ?? 3_000, 100, 60_000),
    requestTimeoutMs: within('requestTimeoutMs', options.requestTimeoutMs ?? 30_000, 1_000, 300_000),
    decompressedBytesMax: within(
      'decompressedBytesMax',
      options.decompressedBytesMax ?? 64 * mebibyte,
      mebibyte,
      1024 * mebibyte,
    ),
  })
}

/** Certificates and keys that cannot be read are told at once, and not once per connection. */
function resolveTls(ssl: KafkaOptions['ssl']): KafkaOptions['ssl'] {
  if (ssl === false) return undefined
  if (typeof ssl === 'object') {
    try {
      createSecureContext(ssl)
    } catch (cause) {
      throw invalid(`ssl: ${cause instanceof Error ? cause.message : String(cause)}`, cause)
    }
  }
  return ssl
}

/** A whole number between its bounds, or KAFKA_OPTIONS_INVALID. */
export function within(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw invalid(`${name} is ${value}: a whole number from ${min} to ${max}`)
}

function parseBroker(broker: string): BrokerAddress {
  const colon = broker.lastIndexOf(':')
  const host = broker.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  const port = Number(broker.slice(colon + 1))
  if (colon < 1 || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw invalid(`broker ${JSON.stringify(broker)}: host:port`)
  return { host, port }
}

const invalid = (message: string, cause?: unknown): OutboxError =>
  new OutboxError('KAFKA_OPTIONS_INVALID', message, { cause })
