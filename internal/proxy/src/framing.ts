/** The port between the proxy and a wire protocol: where frames begin and end, and what they are called. */
import type { Frame } from './frame.js'

export type Protocol = 'kafka' | 'postgres' | 'redis'

export interface Framing {
  readonly protocol: Protocol
  /** Whether a request means the same on a connection that it is the first request of. */
  readonly repeatable: boolean
  /** Whether frames can have this name, so that a rule with a misspelt one is refused. */
  knows(name: string): boolean
  /** A new connection, both of its directions. */
  converse(): Conversation
}

export interface Conversation {
  readonly requests: Grammar
  readonly answers: Grammar
  /** Told when a request goes to the server, so that its answer can be named after it. One that is dropped has none. */
  sent(request: Frame): void
}

export interface Grammar {
  /**
   * Looks at the first bytes of a frame and more, if there are more. Undefined: too few to name it.
   * @throws ProxyError PROXY_PROTOCOL
   */
  start(bytes: Buffer): Start | undefined
}

export interface Start {
  readonly frame: Frame
  readonly measure: Measure
}

/** Finds the end of one frame in bytes that come in pieces, the first ones included. */
export interface Measure {
  /**
   * The index behind the frame's last byte, or -1 when all of these bytes belong to it and more will come.
   * @throws ProxyError PROXY_PROTOCOL
   */
  end(bytes: Buffer): number
}
