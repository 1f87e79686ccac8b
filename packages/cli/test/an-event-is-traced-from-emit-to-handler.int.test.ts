import * as api from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-node'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, createTopic, randomName, sharedStack } from '@internal/stack'
import { createConsumer, migrateInbox } from '@oncebox/consumer-dedup'
import { channels, defineTopic, PermanentError, type StandardSchemaV1 } from '@oncebox/core'
import { createOutbox, fromPg, migrateOutbox } from '@oncebox/outbox'
import { createRelay } from '@oncebox/relay'

// Spans go where they go in an application: to the SDK that it registers, through the API that both share.
const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
beforeAll(() => provider.register())
afterAll(() => provider.shutdown())

const anything: StandardSchemaV1<unknown, { readonly order: string }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ({ value: value as { readonly order: string } }),
  },
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
const canary = 'canary-7c1d'

/** The next message of a consumer on a channel. */
const happens = async (
  channel: 'consumerHandled' | 'consumerDeadLettered',
  consumer: string,
): Promise<void> => {
  await new Promise<void>((resolve) => {
    const listener = (message: unknown): void => {
      if ((message as { readonly consumer: string }).consumer !== consumer) return
      channels[channel].unsubscribe(listener)
      resolve()
    }
    channels[channel].subscribe(listener)
  })
}

test('one trace leads from the request that emits, by its batch, to the handler and to what the handler emits; nothing of payloads is in it', async () => {
  await using database = await createDatabase()
  const pool = new pg.Pool({ connectionString: database.url })
  const db = fromPg(pool)
  await migrateOutbox(db)
  await migrateInbox(db)
  const kafka = { brokers: [...sharedStack().kafka.brokers] }
  const orders = defineTopic(await createTopic('orders'), {
    key: (order) => order.order,
    events: { 'order.placed': anything, 'order.refused': anything },
  })
  const charges = defineTopic(await createTopic('charges'), {
    key: (charge) => charge.order,
    events: { 'charge.made': anything },
  })
  const outbox = createOutbox({ source: 'order-service', topics: [orders] })
  const billing = createOutbox({ source: 'billing', topics: [charges] })
  const name = randomName('traced')
  await using relay = createRelay({
    name,
    db: { connectionString: database.url },
    kafka,
    logger: silent,
  })
  await using consumer = createConsumer({ name, group: name, mode: 'inbox', db, kafka, topics: [orders] })
  consumer.on('order.placed', async ({ payload }, { tx }) => {
    await billing.emit(tx, 'charge.made', payload)
  })
  consumer.on('order.refused', () => {
    throw new PermanentError(`refused ${canary}`)
  })
  const ended = [happens('consumerHandled', name), happens('consumerDeadLettered', name)]
  await relay.start()
  await consumer.start()
  const tracer = api.trace.getTracer('application')
  await tracer.startActiveSpan('POST /orders', async (span) => {
    await outbox.transaction(db, async (_tx, emit) => {
      emit('order.placed', { order: canary })
      await Promise.resolve()
    })
    span.end()
  })
  await outbox.transaction(db, async (_tx, emit) => {
    emit('order.refused', { order: canary })
    await Promise.resolve()
  })
  await Promise.all(ended)
  await consumer.stop()
  await relay.stop()
  await pool.end()

  const spans = exporter.getFinishedSpans()
  const one = (spanName: string, where: (span: ReadableSpan) => boolean = () => true): ReadableSpan => {
    const found = spans.filter((span) => span.name === spanName && where(span))
    const [first, ...others] = found
    if (first === undefined || others.length > 0) throw new Error(`${found.length} spans ${spanName}`)
    return first
  }
  const typed =
    (type: string) =>
    ({ attributes }: ReadableSpan): boolean =>
      attributes['oncebox.event.type'] === type
  const idOf = (span: ReadableSpan): string => span.spanContext().spanId

  const request = one('POST /orders')
  const created = one(`create ${orders.name}`, typed('order.placed'))
  const handled = one(`process ${orders.name}`, typed('order.placed'))
  const followUp = one(`create ${charges.name}`)
  const chain = [request, created, handled, followUp]
  expect(chain.map((span) => span.parentSpanContext?.spanId)).toEqual([
    undefined,
    ...chain.slice(0, -1).map(idOf),
  ])
  expect(new Set(chain.map((span) => span.spanContext().traceId)).size).toBe(1)
  expect(handled.attributes['oncebox.outcome']).toBe('handled')
  const published = spans.filter(({ attributes }) => attributes['oncebox.relay'] === name)
  const linked = published.flatMap(({ links }) => links.map(({ context }) => context.spanId))
  expect(linked).toEqual(expect.arrayContaining([idOf(created)]))

  const refused = one(`process ${orders.name}`, typed('order.refused'))
  expect(refused.parentSpanContext?.spanId).toBe(idOf(one(`create ${orders.name}`, typed('order.refused'))))
  expect(refused.status.code).toBe(api.SpanStatusCode.ERROR)
  expect(refused.attributes['error.type']).toBe('CONSUMER_PERMANENT')
  const told = spans.map((span) => [span.name, span.attributes, span.events, span.status])
  expect(JSON.stringify(told)).not.toContain(canary)
})
