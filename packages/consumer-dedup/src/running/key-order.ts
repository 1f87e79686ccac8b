/** Events that may be begun beyond one that has not ended, for each that runs at once. */
const aheadFactor = 8

type State = 'waiting' | 'running' | 'ended'

/**
 * Which event of a batch may begin, where events with different keys run at once: of a key one at a time, in order. Events
 * without a key have no order. An event that takes long holds those up that are far behind it, so that little has to be
 * finished, or is handled again, when the partition goes to somebody else.
 */
export class KeyOrder {
  readonly #keys: readonly (string | null)[]
  readonly #states: State[]
  readonly #aheadMax: number
  #prefix = 0
  /** Behind the last that was begun. */
  #frontier = 0

  constructor(keys: readonly (string | null)[], parallel: number) {
    this.#keys = keys
    this.#states = keys.map(() => 'waiting')
    this.#aheadMax = parallel * aheadFactor
  }

  /** How many have ended, up to the first that has not. */
  get prefix(): number {
    return this.#prefix
  }

  /**
   * Begins the first that may begin.
   * @param closing Begin nothing but what is before something that was begun: the position can pass all of it then.
   */
  take(closing: boolean): number | undefined {
    const limit = closing ? this.#frontier : Math.min(this.#keys.length, this.#prefix + this.#aheadMax)
    const busy = new Set<string>()
    for (let index = this.#prefix; index < limit; index += 1) {
      if (this.#states[index] === 'ended') continue
      const key = this.#keys[index] ?? null
      if (this.#states[index] === 'waiting' && (key === null || !busy.has(key))) {
        this.#states[index] = 'running'
        this.#frontier = Math.max(this.#frontier, index + 1)
        return index
      }
      if (key !== null) busy.add(key)
    }
    return undefined
  }

  end(index: number): void {
    this.#states[index] = 'ended'
    while (this.#states[this.#prefix] === 'ended') this.#prefix += 1
  }
}
