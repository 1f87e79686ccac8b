/** The events of one partition that were handed out and are not acknowledged. */
export class Acknowledgements {
  readonly #max: number
  readonly #onAcknowledged: () => void
  /** By a token of their own: an event that is tried again is another one. */
  readonly #open = new Map<symbol, bigint>()
  readonly #waiting = new Set<() => void>()

  /**
   * @param max When so many are open, no other is handed out; a batch is handed out whole.
   * @param onAcknowledged Called after each acknowledgement.
   */
  constructor(max: number, onAcknowledged: () => void) {
    this.#max = max
    this.#onAcknowledged = onAcknowledged
  }

  /** The offset of the first one. */
  get first(): bigint | undefined {
    let first: bigint | undefined
    for (const offset of this.#open.values()) if (first === undefined || offset < first) first = offset
    return first
  }

  /** Resolves when another one may be handed out, or the signal is aborted. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#open.size >= this.#max && !signal.aborted)
      await new Promise<void>((resolve) => {
        const go = (): void => {
          this.#waiting.delete(go)
          signal.removeEventListener('abort', go)
          resolve()
        }
        this.#waiting.add(go)
        signal.addEventListener('abort', go, { once: true })
      })
  }

  /** Hands events out. Whichever of the two is called first counts. */
  begin(offsets: readonly bigint[]): { readonly acknowledge: () => void; readonly takeBack: () => void } {
    const tokens = offsets.map((offset) => {
      const token = Symbol(String(offset))
      this.#open.set(token, offset)
      return token
    })
    const end = (): boolean => {
      let ended = false
      for (const token of tokens) ended = this.#open.delete(token) || ended
      for (const go of this.#waiting) go()
      return ended
    }
    return {
      acknowledge: () => {
        if (end()) this.#onAcknowledged()
      },
      takeBack: () => void end(),
    }
  }
}
