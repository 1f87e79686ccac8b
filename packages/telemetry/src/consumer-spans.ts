import { channels, OutboxError, type HandlingMessage, type HandlingOutcome } from '@oncebox/core'
import { hasSdk, type OpenTelemetry, type Span, type Tracer } from './open-telemetry.js'
import { attribute, spanName, system } from './semantic-conventions.js'
import { readTraceContext } from './trace-context.js'

/**
 * A span `process <topic>` for each attempt on an event, from the beginning of its transaction to the answer to COMMIT, in
 * which the handler runs. The event's own context is its parent: there is one event to an attempt, and no other span around
 * it. It is linked as well, as the conventions want of every such span.
 */
export function traceConsumers(api: OpenTelemetry, tracer: Tracer): void {
  let isTracing = false
  channels.consumerHandling.subscribe((sent) => {
    isTracing ||= hasSdk(api)
    if (!isTracing) return
    // The one sender is the consumer.
    const message = sent as HandlingMessage
    const created = readTraceContext(api, message.traceparent, message.tracestate)
    const parent =
      created === undefined ? api.ROOT_CONTEXT : api.trace.setSpanContext(api.ROOT_CONTEXT, created)
    message.around = async (work) => {
      const span = tracer.startSpan(
        spanName('process', message.topic),
        {
          kind: api.SpanKind.CONSUMER,
          links: created === undefined ? [] : [{ context: created }],
          attributes: attributesOf(message),
        },
        parent,
      )
      try {
        const outcome = await api.context.with(api.trace.setSpan(parent, span), work)
        settle(api, span, outcome)
        return outcome
      } finally {
        span.end()
      }
    }
  })
}

const attributesOf = (message: HandlingMessage): Record<string, string | number> => ({
  [attribute.system]: system,
  [attribute.operationName]: 'process',
  [attribute.operationType]: 'process',
  [attribute.destination]: message.topic,
  [attribute.partition]: String(message.partition),
  [attribute.offset]: Number(message.offset),
  [attribute.consumerGroup]: message.group,
  [attribute.messageId]: message.id,
  [attribute.eventType]: message.type,
  [attribute.attempt]: message.attempt,
})

function settle(api: OpenTelemetry, span: Span, outcome: HandlingOutcome): void {
  span.setAttribute(attribute.outcome, outcome.kind)
  if (outcome.kind !== 'failed') return
  span.setAttribute(attribute.errorType, errorTypeOf(outcome.error))
  // Without a message: what a handler or a driver says may hold anything.
  span.setStatus({ code: api.SpanStatusCode.ERROR })
}

/** Of low cardinality, as the conventions want it: a code, or the name of a class. */
function errorTypeOf(error: unknown): string {
  if (OutboxError.is(error)) return error.code
  return error instanceof Error ? error.name : '_OTHER'
}
