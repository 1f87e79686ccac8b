import { envelopeHeaders } from '@oncebox/core'
import type { OpenTelemetry, SpanContext } from './open-telemetry.js'

/** As a bound for what a header may carry on: the least that W3C asks everybody to propagate. */
const tracestateCharactersMax = 512

const form = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const noTrace = '0'.repeat(32)
const noSpan = '0'.repeat(16)

/**
 * A span's context as headers.
 * @see https://www.w3.org/TR/trace-context/
 */
export function writeTraceContext(context: SpanContext, headers: Record<string, string>): void {
  const flags = (context.traceFlags & 0xff).toString(16).padStart(2, '0')
  headers[envelopeHeaders.traceparent] = `00-${context.traceId}-${context.spanId}-${flags}`
  const state = context.traceState?.serialize() ?? ''
  if (state !== '' && state.length <= tracestateCharactersMax) headers[envelopeHeaders.tracestate] = state
}

/** The context that headers carry; undefined when they carry none, or one that is not of the form. */
export function readTraceContext(
  { createTraceState }: Pick<OpenTelemetry, 'createTraceState'>,
  traceparent: string | undefined,
  tracestate?: string,
): SpanContext | undefined {
  const [, version, traceId, spanId, flags, rest] = form.exec(traceparent ?? '') ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (traceId === noTrace || spanId === noSpan) return undefined
  // Later versions may add fields; version 00 has none.
  if (version === '00' && rest !== undefined) return undefined
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(tracestate !== undefined &&
      tracestate.length <= tracestateCharactersMax && { traceState: createTraceState(tracestate) }),
  }
}
