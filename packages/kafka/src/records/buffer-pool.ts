const smallestBytes = 16 * 1024

/**
 * Buffers that come back: record batches are the largest allocations of the hot path, and a new one each time costs a
 * page fault per 4 KiB. Sizes are powers of two; what is kept is bounded.
 */
class BufferPool {
  readonly #free = new Map<number, Buffer[]>()
  readonly #keptBytesMax: number
  #keptBytes = 0

  constructor(keptBytesMax: number) {
    this.#keptBytesMax = keptBytesMax
  }

  /** A buffer of at least `bytes`, its content undefined. */
  take(bytes: number): Buffer {
    const size = sizeClass(bytes)
    const buffer = this.#free.get(size)?.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(size)
    this.#keptBytes -= size
    return buffer
  }

  /** Takes a buffer back. Only when nobody can read it any more: no socket, no retry. */
  give(buffer: Buffer): void {
    const size = buffer.length
    if (this.#keptBytes + size > this.#keptBytesMax) return
    this.#keptBytes += size
    const list = this.#free.get(size)
    if (list === undefined) this.#free.set(size, [buffer])
    else list.push(buffer)
  }
}

function sizeClass(bytes: number): number {
  let size = smallestBytes
  while (size < bytes) size *= 2
  return size
}

/** Shared by the sessions of this process: shards take turns, and each would keep the memory of its largest batch. */
export const recordBuffers = new BufferPool(64 * 1024 * 1024)
