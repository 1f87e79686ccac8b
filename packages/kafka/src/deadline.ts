import { delay, OutboxError } from '@oncebox/core'

/**
 * The bound of one operation: so many milliseconds, or the caller's signal, whichever comes first. Everything that
 * waits inside the operation takes the same deadline. Dispose of it, or its timer lives on.
 */
export class Deadline implements Disposable {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #outer: AbortSignal | undefined
  readonly #endsAtMs: number
  readonly #onOuterAbort = (): void => this.#controller.abort(this.#outer?.reason)

  /** @param what Named in the error, for example `opening the session of oncebox:orders:0:a`. */
  constructor(ms: number, what: string, outer?: AbortSignal) {
    this.#endsAtMs = performance.now() + ms
    this.#outer = outer
    this.#timer = setTimeout(() => {
      this.#controller.abort(
        new OutboxError('KAFKA_UNAVAILABLE', `${what} took longer than ${ms} ms`, {
          details: { deadlineMs: ms },
        }),
      )
    }, ms)
    if (outer?.aborted === true) this.#onOuterAbort()
    else outer?.addEventListener('abort', this.#onOuterAbort, { once: true })
  }

  get remainingMs(): number {
    return Math.max(0, this.#endsAtMs - performance.now())
  }

  get expired(): boolean {
    return this.#controller.signal.aborted
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  throwIfExpired(): void {
    this.#controller.signal.throwIfAborted()
  }

  /** Settles as `promise` does, or rejects when the deadline comes first; the promise itself is then left alone, and its failure is no unhandled one. */
  async race<Value>(promise: Promise<Value>): Promise<Value> {
    const { signal } = this.#controller
    let onAbort: (() => void) | undefined
    const expiry = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(toError(signal.reason))
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    })
    try {
      return await Promise.race([promise, expiry])
    } finally {
      if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
    }
  }

  /** Waits, or rejects when the deadline comes first. */
  async delay(ms: number): Promise<void> {
    const { signal } = this.#controller
    try {
      await delay(ms, signal)
    } catch (error) {
      throw signal.aborted ? toError(signal.reason) : error
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#onOuterAbort)
  }
}

const toError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))
