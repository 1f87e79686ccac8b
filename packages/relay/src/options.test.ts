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
    progressTopic: 'orders.progress',
  })
})

test.for<[string, Partial<RelayOptions>]>([
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
