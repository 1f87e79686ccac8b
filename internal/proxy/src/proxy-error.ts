/** Every way in which the proxy can fail, other than those it was asked for. */
export type ProxyErrorCode =
  /** Bytes that are no frame of the protocol. The connection was cut. */
  | 'PROXY_PROTOCOL'
  /** A frame that was to be kept is larger than what is kept. The connection was cut. */
  | 'PROXY_FRAME_TOO_LARGE'
  | 'PROXY_UPSTREAM_UNREACHABLE'
  /** A kept frame whose connection is gone and that means nothing on another one. */
  | 'PROXY_CONNECTION_GONE'
  /** A frame delivered on a connection of its own had no answer in time. */
  | 'PROXY_UNANSWERED'
  | 'PROXY_RULE_INVALID'
  /** The rule was removed before it fired, or the proxy was closed. */
  | 'PROXY_RULE_REMOVED'

export class ProxyError extends Error {
  override readonly name = 'ProxyError'
  readonly code: ProxyErrorCode

  constructor(code: ProxyErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
  }
}

export const protocolError = (message: string): ProxyError => new ProxyError('PROXY_PROTOCOL', message)
