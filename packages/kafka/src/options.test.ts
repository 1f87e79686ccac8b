import { describe, expect, test } from 'vitest'
import { resolveKafkaOptions } from './options.js'

describe('options', () => {
  test('name host and port of each broker', () => {
    expect(resolveKafkaOptions({ brokers: ['kafka-1:9092', '[::1]:9093'] }).seeds).toEqual([
      { host: 'kafka-1', port: 9_092 },
      { host: '::1', port: 9_093 },
    ])
  })

  test.each([
    { brokers: [] },
    { brokers: ['kafka'] },
    { brokers: ['kafka:0'] },
    { brokers: ['k:1'], requestTimeoutMs: 1 },
  ])('that cannot work are refused: %j', (options) => {
    expect(() => resolveKafkaOptions(options)).toThrow(
      expect.objectContaining({ code: 'KAFKA_OPTIONS_INVALID' }),
    )
  })
})
