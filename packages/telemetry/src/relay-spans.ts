import { channels, type PublishedMessage } from '@oncebox/core'
import type { Link, OpenTelemetry, Tracer } from './open-telemetry.js'
import { attribute, spanName, system } from './semantic-conventions.js'
import { readTraceContext } from './trace-context.js'

/**
 * A span `send` for each batch that a relay has committed, with links to the contexts in which its events were created, the
 * first 128. Made when it is over: nothing is done inside it that could be traced.
 */
export function traceRelays(api: OpenTelemetry, tracer: Tracer): void {
  channels.relayPublished.subscribe((message) => {
    // The one sender is the relay.
    const { relay, shard, epoch, events, topics, durationMs, traceparents } = message as PublishedMessage
    const links = traceparents.flatMap((traceparent): Link[] => {
      const context = readTraceContext(api, traceparent)
      return context === undefined ? [] : [{ context }]
    })
    const destination = topics.length === 1 ? topics[0] : undefined
    const endMs = Date.now()
    const span = tracer.startSpan(
      spanName('send', destination),
      {
        kind: api.SpanKind.CLIENT,
        startTime: endMs - durationMs,
        links,
        attributes: {
          [attribute.system]: system,
          [attribute.operationName]: 'send',
          [attribute.operationType]: 'send',
          [attribute.messageCount]: events,
          [attribute.relay]: relay,
          [attribute.shard]: shard,
          [attribute.epoch]: epoch,
          ...(destination !== undefined && { [attribute.destination]: destination }),
        },
      },
      api.ROOT_CONTEXT,
    )
    span.end(endMs)
  })
}
