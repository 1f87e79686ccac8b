import { defineTopic } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import { Redis } from 'ioredis'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createConsumer, parkKey, retryTopics, topicsMatching } from '../index.js'
import { createRedisDedup } from '../redis/index.js'
import { resolveTiers } from './tiers.js'

const orders = defineTopic('orders', { events: { happened: z.unknown() } })
const payments = defineTopic('payments', { events: { happened: z.unknown() } })

describe('retry topics', () => {
  test('lead from an origin to its first tier, and from each to the next; behind the last there is none', () => {
    const tiers = resolveTiers({ delaysMs: [10, 20] }, 'billing', { topics: [orders, payments] })
    expect([...tiers.all].map(({ topic }) => topic)).toEqual([
      'orders.retry.billing.1',
      'orders.retry.billing.2',
      'payments.retry.billing.1',
      'payments.retry.billing.2',
    ])
    expect(tiers.behind('payments')).toMatchObject({
      topic: 'payments.retry.billing.1',
      number: 1,
      delayMs: 10,
    })
    expect(tiers.behind('payments.retry.billing.1')).toMatchObject({ number: 2, delayMs: 20 })
    expect(tiers.behind('payments.retry.billing.2')).toBeUndefined()
    expect(tiers.of('orders')).toBeUndefined()
    expect(tiers.of('orders.retry.billing.2')?.origin).toBe(orders)
  })

  test('are refused with names that are none, or that two of them have', () => {
    const resolve = (consumer: string, topicName?: () => string) =>
      resolveTiers({ delaysMs: [1, 2], ...(topicName && { topicName }) }, consumer, { topics: [orders] })
    expect(() => resolve('bill them')).toThrow('is no name for a topic')
    expect(() => resolve('billing', () => 'retries')).toThrow('two topics of this consumer')
    expect(() => resolve('billing', () => 'orders')).toThrow('two topics of this consumer')
    expect(() => resolveTiers({ delaysMs: [] }, 'billing', { topics: [orders] })).toThrow('from 1 to 16')
  })

  test('are refused where nothing keeps an event from being lost or doubled on its way, or kept waiting', () => {
    const common = { group: 'billing', topics: [orders], kafka: { brokers: ['localhost:9092'] } } as const
    const retry = retryTopics({ delaysMs: [1] })
    const db = fromPg(new pg.Pool()) // what is refused never connects
    const dedup = createRedisDedup({
      redis: new Redis({ lazyConnect: true }),
      consumer: 'billing',
      retentionMs: 1_209_600_000,
      onAmnesia: 'stop',
    })
    const refused = (why: string) =>
      expect.objectContaining({
        code: 'CONSUMER_OPTIONS_INVALID',
        message: expect.stringContaining(why) as string,
      })
    expect(() => createConsumer({ ...common, mode: 'inbox', db, retry })).toThrow(refused('needs an outbox'))
    expect(() => createConsumer({ ...common, mode: 'at-most-once', retry })).toThrow(refused('one attempt'))
    // @ts-expect-error the types refuse it, too
    expect(() => createConsumer({ ...common, mode: 'redis', dedup, retry })).toThrow(
      refused('mark is in Redis'),
    )
    const both = { ...retry, ...parkKey({ delaysMs: [1] }) }
    // @ts-expect-error the types refuse it, too
    expect(() => createConsumer({ ...common, mode: 'inbox', db, retry: both })).toThrow(
      refused('take one of them'),
    )
    const matching = { ...common, topics: [topicsMatching(/^orders/, orders)] }
    expect(() => createConsumer({ ...matching, mode: 'at-least-once', retry })).toThrow(refused('a pattern'))
    const assign = [{ topic: 'orders', partition: 0 }]
    expect(() => createConsumer({ ...common, mode: 'at-least-once', assign, retry })).toThrow(
      refused('retryTopics and assign'),
    )
  })
})
