/** A wait of one connection, which ends with it. */
import { Deferred } from './deferred.js'
import { ProxyError } from './proxy-error.js'

/**
 * Settles as `promise` does, unless the signal of the connection comes first.
 * @throws ProxyError PROXY_CONNECTION_GONE
 */
export async function unlessGone<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const gone = new Deferred<never>()
  const onAbort = (): void => gone.reject(connectionGone(signal.reason))
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([gone.promise, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

export const connectionGone = (cause?: unknown): ProxyError =>
  new ProxyError('PROXY_CONNECTION_GONE', 'the connection is gone', { cause })
