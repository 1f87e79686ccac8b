/** One way through a connection, at its far end: written with back-pressure, one frame at a time. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Deferred } from './deferred.js'
import { connectionGone, unlessGone } from './unless-gone.js'

export class Lane {
  readonly #target: Socket
  readonly #signal: AbortSignal
  #busy: Promise<void> = Promise.resolve()

  constructor(target: Socket, signal: AbortSignal) {
    this.#target = target
    this.#signal = signal
  }

  get open(): boolean {
    return !this.#signal.aborted && this.#target.writable
  }

  /**
   * Waits until no frame is half written; the next one waits until the returned function is called.
   * @throws ProxyError PROXY_CONNECTION_GONE
   */
  async enter(): Promise<() => void> {
    const left = new Deferred<void>()
    const ahead = this.#busy
    this.#busy = left.promise
    await unlessGone(ahead, this.#signal)
    return left.resolve
  }

  /** @throws ProxyError PROXY_CONNECTION_GONE */
  async write(bytes: Buffer): Promise<void> {
    if (!this.open) throw connectionGone()
    if (this.#target.write(bytes)) return
    await once(this.#target, 'drain', { signal: this.#signal }).catch((error: unknown) => {
      throw connectionGone(error)
    })
  }

  /** Resolves when all that was written is with the kernel, and the end behind it. */
  async end(): Promise<void> {
    if (!this.open) return
    const finished = new Deferred<void>()
    this.#target.end(finished.resolve)
    await unlessGone(finished.promise, this.#signal)
  }
}
