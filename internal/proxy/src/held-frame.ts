/** A frame that a rule has kept, whole. */
import type { Frame } from './frame.js'

export interface HeldFrame extends Frame {
  readonly bytes: Buffer
  /**
   * Sends it, once per call. A held frame goes where it was going, between two others, while that connection is open; this
   * resolves with undefined when it is written. A request whose connection is gone goes to the server on a connection of
   * its own, and so does the copy of a request; this resolves with the bytes of the answer. Not for PostgreSQL, where a
   * connection is a transaction: there everything goes the way it came, or nowhere.
   *
   * @throws ProxyError PROXY_CONNECTION_GONE, PROXY_UNANSWERED, PROXY_UPSTREAM_UNREACHABLE
   */
  deliver(): Promise<Buffer | undefined>
}
