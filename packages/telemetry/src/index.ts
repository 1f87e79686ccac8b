import { createRequire } from 'node:module'
import { traceConsumers } from './consumer-spans.js'
import { traceEmits } from './emit-spans.js'
import { findOpenTelemetry } from './open-telemetry.js'
import { traceRelays } from './relay-spans.js'

const startedKey = Symbol.for('oncebox.tracing-started')

// Two installed copies of this package in a process would make every span twice.
const shared = globalThis as { [startedKey]?: true }

/**
 * Traces emits, batches and handlers with OpenTelemetry from now on, where the application has `@opentelemetry/api`. Called
 * by createOutbox, createRelay and createConsumer; does nothing the second time. Everything is told on the diagnostics
 * channels of core, so without it, or without the package, each of them costs one comparison.
 */
export function startTracing(): void {
  if (shared[startedKey] === true) return
  shared[startedKey] = true
  const api = findOpenTelemetry()
  if (api === undefined) return
  // A proxy until the application registers its SDK, before or after this.
  const tracer = api.trace.getTracer('oncebox', versionOfThis())
  traceEmits(api, tracer)
  traceRelays(api, tracer)
  traceConsumers(api, tracer)
}

const versionOfThis = (): string =>
  (createRequire(import.meta.url)('../package.json') as { readonly version: string }).version
