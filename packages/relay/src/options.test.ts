import { expect, test } from 'vitest'
import { defineRelay, resolveOptions, type RelayOptions } from './options.js'

const minimal: RelayOptions = {
  name: 'orders',
  db: { connectionString: 'postgres://x' },
  kafka: { brokers: ['localhost:9092'] },
}

test('three options are enough', () => {
  expect(resolveOptions(minimal)).toMatchObject({
    eventsMax: 5_000,
    bytesMax: 4_000_000,
    idleMsMin: 1,
    idleMsMax: 50,
    startAt: 'earliest',
    compression: 'none',
    progressTopic: 'orders.progress',
  })
})

test.for<[string, Partial<RelayOptions>]>([
  ['compression', { compression: 'brotli' as 'gzip' }], // options come from JavaScript files, too
  ['compression.level', { compression: { type: 'gzip', level: 10 } }],
  ['name', { name: 'a b' }],
  ['kafka.brokers', { kafka: { brokers: [] } }],
  ['batch.eventsMax', { batch: { eventsMax: 0 } }],
  ['batch.bytesMax', { batch: { bytesMax: 1e9 } }],
  ['poll.idleMsMax', { poll: { idleMsMin: 10, idleMsMax: 5 } }],
  ['transactionTimeoutMs', { transactionTimeoutMs: 1.5 }],
  ['http.port', { http: { port: 70_000 } }],
])('%s out of its bounds is refused by name', ([name, options]) => {
  expect(() => defineRelay({ ...minimal, ...options })).toThrow(
    expect.objectContaining({
      code: 'RELAY_OPTIONS_INVALID',
      message: expect.stringContaining(name) as string,
    }),
  )
})

test.for([0, 1, '1', 'leader', null])('acks %s is refused, with the reason', (acks) => {
  expect(() => resolveOptions({ ...minimal, acks: acks as 'all' })).toThrow(
    expect.objectContaining({
      code: 'RELAY_OPTIONS_INVALID',
      message: expect.stringMatching(/^acks is .*'all': a Kafka transaction/) as string,
    }),
  )
})

test('acks all, which it is anyway, is taken', () => {
  expect(() => resolveOptions({ ...minimal, acks: 'all' })).not.toThrow()
})

test.for<RelayOptions['compression']>(['none', 'gzip', 'snappy', 'lz4', 'zstd', { type: 'zstd', level: 6 }])(
  'compression %o is taken',
  (compression) => {
    expect(resolveOptions({ ...minimal, ...(compression && { compression }) }).compression).toBe(compression)
  },
)
