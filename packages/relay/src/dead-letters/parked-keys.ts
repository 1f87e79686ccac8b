import { createHash } from 'node:crypto'

/** Where no letter holds a key back any more: `topic` has none, or nobody has looked. */
const none: ReadonlySet<string> = new Set()
// Longer keys are remembered by a digest, which is longer than this, so that no short key can be taken for one.
const nameBytesMax = 60

/**
 * The keys of a shard that are parked, held in memory: its relay is the only one that parks and frees them. A lookup is
 * made for events of topics that have a parked key, and for no others.
 */
export class ParkedKeys {
  readonly #topics = new Map<string, Set<string>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  hasTopic(topic: string): boolean {
    return this.#topics.has(topic)
  }

  has(topic: string, key: Buffer): boolean {
    return (this.#topics.get(topic) ?? none).has(nameOf(key))
  }

  add(topic: string, key: Buffer): void {
    let keys = this.#topics.get(topic)
    if (keys === undefined) this.#topics.set(topic, (keys = new Set()))
    this.#size -= keys.size
    keys.add(nameOf(key))
    this.#size += keys.size
  }

  delete(topic: string, key: Buffer): void {
    const keys = this.#topics.get(topic)
    if (keys?.delete(nameOf(key)) !== true) return
    this.#size--
    if (keys.size === 0) this.#topics.delete(topic)
  }
}

// Latin-1 gives each byte a character of its own: no two keys have one name, and it takes a byte each in memory.
const nameOf = (key: Buffer): string =>
  key.length <= nameBytesMax
    ? key.toString('latin1')
    : `sha256:${createHash('sha256').update(key).digest('hex')}`
