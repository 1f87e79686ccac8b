/** One at a time, in the order in which they came. */
export class Turn {
  #last: Promise<void> = Promise.resolve()

  /** Resolves when everybody before has given it back. @throws the signal's reason; the turn passes on then */
  async take(signal: AbortSignal): Promise<Disposable> {
    const before = this.#last
    let giveBack: () => void = () => undefined
    const own = new Promise<void>((resolve) => {
      giveBack = resolve
    })
    this.#last = before.then(() => own)
    let onAbort: () => void = () => undefined
    const aborted = new Promise<void>((resolve) => {
      onAbort = resolve
      signal.addEventListener('abort', onAbort, { once: true })
    })
    if (!signal.aborted) await Promise.race([before, aborted])
    signal.removeEventListener('abort', onAbort)
    if (signal.aborted) {
      giveBack()
      throw signal.reason
    }
    return { [Symbol.dispose]: giveBack }
  }
}
