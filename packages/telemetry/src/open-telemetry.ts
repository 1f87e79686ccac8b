import { createRequire } from 'node:module'
import type * as Api from '@opentelemetry/api'

/** The package that applications and libraries meet in; an optional peer. */
export type OpenTelemetry = typeof Api
export type { Link, Span, SpanContext, Tracer } from '@opentelemetry/api'

/** Whether the application has registered an SDK by now: before that, whatever is traced goes nowhere. */
export function hasSdk({ trace, ProxyTracerProvider }: OpenTelemetry): boolean {
  const provider = trace.getTracerProvider()
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('oncebox') !== undefined
}

/**
 * The API of OpenTelemetry where the application has it. Whichever copy is found, it finds the application's SDK, as all
 * copies meet in one global.
 */
export function findOpenTelemetry(): OpenTelemetry | undefined {
  try {
    // By require, so that an emit need not wait for an import; both forms of the package are the same API.
    return createRequire(import.meta.url)('@opentelemetry/api') as OpenTelemetry
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}
