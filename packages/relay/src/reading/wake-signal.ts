/** Tells all shards of a process at once that it may be time to look, and knows nothing of what there is to see. */
export class WakeSignal {
  readonly #listeners = new Set<() => void>()

  on(listener: () => void): void {
    this.#listeners.add(listener)
  }

  off(listener: () => void): void {
    this.#listeners.delete(listener)
  }

  fire(): void {
    for (const listener of this.#listeners) listener()
  }
}
