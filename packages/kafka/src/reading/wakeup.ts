/** Ends a wait. A wake-up that comes while nobody waits ends the next wait at once, so none is missed. */
export class Wakeup {
  #isDue = false
  #resolve: (() => void) | undefined

  wake(): void {
    this.#isDue = true
    this.#resolve?.()
  }

  /** Resolves at the next wake-up, or after `ms`, or when the signal is aborted. */
  async wait(signal: AbortSignal, ms?: number): Promise<void> {
    if (!this.#isDue && !signal.aborted && (ms === undefined || ms > 0)) await this.#wait(signal, ms)
    this.#isDue = false
  }

  #wait(signal: AbortSignal, ms: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(end, ms)
      function end(): void {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        resolve()
      }
      signal.addEventListener('abort', end, { once: true })
      this.#resolve = end
    })
  }
}
