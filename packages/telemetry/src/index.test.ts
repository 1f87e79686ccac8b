import * as api from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-node'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  channels,
  OutboxError,
  PermanentError,
  type EmittingMessage,
  type HandlingMessage,
  type HandlingOutcome,
  type PublishedMessage,
} from '@oncebox/core'
import { startTracing } from './index.js'

const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })

beforeAll(() => {
  startTracing() // before the SDK: applications start in any order
  startTracing()
  provider.register()
})
afterAll(() => provider.shutdown())
beforeEach(() => exporter.reset())

const spans = (): readonly ReadableSpan[] => exporter.getFinishedSpans()

function emit(headers: Record<string, string> = {}): EmittingMessage {
  const message = { source: 'order-service', topic: 'orders', type: 'order.placed', id: 'id-1', headers }
  channels.outboxEmitting.publish(message)
  return message
}

const traceparentOf = (span: ReadableSpan | undefined): string => {
  const { traceId, spanId, traceFlags } = span?.spanContext() ?? { traceId: '', spanId: '', traceFlags: 0 }
  return `00-${traceId}-${spanId}-0${traceFlags}`
}

test('an emit is a producer span below the span it is in, and its context travels in the headers', () => {
  const tracer = api.trace.getTracer('test')
  const { headers } = tracer.startActiveSpan('request', (span) => {
    const message = emit()
    span.end()
    return message
  })
  const [created, request] = spans()
  expect(created).toMatchObject({
    name: 'create orders',
    kind: api.SpanKind.PRODUCER,
    attributes: {
      'messaging.system': 'kafka',
      'messaging.operation.name': 'create',
      'messaging.operation.type': 'create',
      'messaging.destination.name': 'orders',
      'messaging.message.id': 'id-1',
      'oncebox.event.type': 'order.placed',
    },
  })
  expect(created?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId)
  expect(headers).toEqual({ traceparent: traceparentOf(created) })
})

test('a context that the service has set itself is left alone, and no span is made', () => {
  expect(emit({ traceparent: 'mine' }).headers).toEqual({ traceparent: 'mine' })
  expect(spans()).toEqual([])
})

function publish(changes: Partial<PublishedMessage> = {}): void {
  const message: PublishedMessage = {
    relay: 'orders',
    shard: 2,
    epoch: 7,
    position: undefined,
    events: 3,
    bytes: 100,
    oldestMs: 0,
    topics: ['orders'],
    readMs: 1,
    encodeMs: 1,
    durationMs: 250,
    receipt: undefined,
    traceparents: [],
    ...changes,
  }
  channels.relayPublished.publish(message)
}

test('a batch is a client span as long as its transaction, with a link to each emit; what is no context is passed over', () => {
  const { headers } = emit()
  const created = spans()[0]
  exporter.reset()
  publish({ traceparents: [headers['traceparent'] ?? '', 'nonsense'] })
  publish({ topics: ['orders', 'payments'] })
  const [one, several] = spans()
  expect(one).toMatchObject({
    name: 'send orders',
    kind: api.SpanKind.CLIENT,
    parentSpanContext: undefined,
    attributes: {
      'messaging.batch.message_count': 3,
      'messaging.destination.name': 'orders',
      'oncebox.shard': 2,
      'oncebox.epoch': 7,
    },
  })
  expect(one?.links.map(({ context }) => context.spanId)).toEqual([created?.spanContext().spanId])
  expect((one?.duration[1] ?? 0) / 1e6).toBeCloseTo(250, 0)
  expect(several?.name).toBe('send')
  expect(several?.attributes).not.toHaveProperty('messaging.destination.name')
})

async function handle(traceparent: string | undefined, outcome: HandlingOutcome): Promise<HandlingOutcome> {
  const message: HandlingMessage = {
    consumer: 'billing',
    group: 'billing-group',
    topic: 'orders',
    partition: 4,
    offset: '17',
    id: 'id-1',
    type: 'order.placed',
    attempt: 2,
    traceparent,
    tracestate: undefined,
    around: undefined,
  }
  channels.consumerHandling.publish(message)
  const work = async (): Promise<HandlingOutcome> => {
    await Promise.resolve()
    emit() // a follow-up event of the handler
    return outcome
  }
  return (await message.around?.(work)) ?? { kind: 'duplicate' }
}

test('an attempt is a consumer span below the emit, in which the handler runs: its own emits are in the same trace', async () => {
  const { headers } = emit()
  const created = spans()[0]
  exporter.reset()
  expect(await handle(headers['traceparent'], { kind: 'handled' })).toEqual({ kind: 'handled' })
  const [followUp, handled] = spans()
  expect(handled).toMatchObject({
    name: 'process orders',
    kind: api.SpanKind.CONSUMER,
    status: { code: api.SpanStatusCode.UNSET },
    attributes: {
      'messaging.operation.type': 'process',
      'messaging.destination.partition.id': '4',
      'messaging.kafka.offset': 17,
      'messaging.consumer.group.name': 'billing-group',
      'messaging.message.id': 'id-1',
      'oncebox.attempt': 2,
      'oncebox.outcome': 'handled',
    },
  })
  expect(handled?.parentSpanContext?.spanId).toBe(created?.spanContext().spanId)
  expect(handled?.links.map(({ context }) => context.spanId)).toEqual([created?.spanContext().spanId])
  expect(followUp?.parentSpanContext?.spanId).toBe(handled?.spanContext().spanId)
  expect(followUp?.spanContext().traceId).toBe(created?.spanContext().traceId)
})

test('an event without a context begins a trace', async () => {
  await handle(undefined, { kind: 'duplicate' })
  const handled = spans()[1]
  expect(handled).toMatchObject({
    parentSpanContext: undefined,
    links: [],
    attributes: { 'oncebox.outcome': 'duplicate' },
  })
})

test.for([
  [new OutboxError('OUTBOX_COMMIT_UNKNOWN', 'lost'), 'OUTBOX_COMMIT_UNKNOWN'],
  [new PermanentError('customer secret-4711'), 'CONSUMER_PERMANENT'],
  [new TypeError('secret-4711 is no function'), 'TypeError'],
  ['secret-4711', '_OTHER'],
] as const)(
  'a failed attempt is an error of a few kinds, and nothing of what was said: %s',
  async ([error, type]) => {
    await handle(undefined, { kind: 'failed', error })
    const handled = spans()[1]
    expect(handled?.status).toEqual({ code: api.SpanStatusCode.ERROR })
    expect(handled?.attributes['error.type']).toBe(type)
    expect(JSON.stringify([handled?.attributes, handled?.events, handled?.status])).not.toContain('secret')
  },
)
