/**
 * A signal that is aborted by the first of several, or by its owner. Dispose of it when it is not needed any more:
 * AbortSignal.any() leaves something behind at each of its sources for as long as that lives, and sources here outlive many of
 * those that listen to them.
 */
export class LinkedSignal implements Disposable {
  readonly #controller = new AbortController()
  readonly #listeners: readonly (readonly [source: AbortSignal, listener: () => void])[]

  constructor(...sources: readonly (AbortSignal | undefined)[]) {
    this.#listeners = sources
      .filter((source) => source !== undefined)
      .map((source) => [source, () => this.abort(source.reason)])
    for (const [source, listener] of this.#listeners) {
      if (source.aborted) listener()
      else source.addEventListener('abort', listener, { once: true })
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The first reason counts. */
  abort(reason: unknown): void {
    this.#controller.abort(reason)
  }

  [Symbol.dispose](): void {
    for (const [source, listener] of this.#listeners) source.removeEventListener('abort', listener)
  }
}
