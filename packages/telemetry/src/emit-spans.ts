import { channels, envelopeHeaders, type EmittingMessage } from '@oncebox/core'
import type { OpenTelemetry, Tracer } from './open-telemetry.js'
import { attribute, spanName, system } from './semantic-conventions.js'
import { writeTraceContext } from './trace-context.js'

/**
 * A span `create <topic>` for each emit, whose context travels in the event's headers. A context that the service has set
 * itself is left alone. It ends at once: whether the transaction commits is not known yet.
 */
export function traceEmits(api: OpenTelemetry, tracer: Tracer): void {
  channels.outboxEmitting.subscribe((message) => {
    // The one sender is the outbox.
    const { topic, type, id, headers } = message as EmittingMessage
    if (headers[envelopeHeaders.traceparent] !== undefined) return
    const span = tracer.startSpan(spanName('create', topic), {
      kind: api.SpanKind.PRODUCER,
      attributes: {
        [attribute.system]: system,
        [attribute.operationName]: 'create',
        [attribute.operationType]: 'create',
        [attribute.destination]: topic,
        [attribute.messageId]: id,
        [attribute.eventType]: type,
      },
    })
    const context = span.spanContext()
    if (api.isSpanContextValid(context)) writeTraceContext(context, headers)
    span.end()
  })
}
