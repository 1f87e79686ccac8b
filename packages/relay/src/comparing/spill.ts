import { open, unlink, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { randomUUID } from 'node:crypto'

/** Over how many parts entries are spread: one part at a time is in memory. */
export const partCount = 256
const chunkBytes = 32 * 1024

/**
 * Entries of one size, spread over parts in a temporary file: what belongs together is in the same part, and one part
 * at a time is read back. In memory are 8 MiB of buffers and the part that is looked at. The file has no name any more
 * when it is filled, so nothing of it is left behind, however the process ends.
 */
export class Spill implements AsyncDisposable {
  readonly entryBytes: number
  readonly #file: FileHandle
  readonly #buffers = Array.from({ length: partCount }, () => Buffer.alloc(0))
  readonly #filled = new Int32Array(partCount)
  /** Where the chunks of each part are in the file. */
  readonly #chunks: { readonly at: number; readonly bytes: number }[][] = Array.from(
    { length: partCount },
    () => [],
  )
  #writing: Promise<void> = Promise.resolve()
  #end = 0
  #count = 0

  private constructor(file: FileHandle, entryBytes: number) {
    this.#file = file
    this.entryBytes = entryBytes
  }

  static async create(entryBytes: number): Promise<Spill> {
    const name = path.join(tmpdir(), `oncebox-${randomUUID()}`)
    const file = await open(name, 'wx+', 0o600)
    await unlink(name)
    return new Spill(file, entryBytes)
  }

  /** Entries added. */
  get count(): number {
    return this.#count
  }

  /** Bytes on disk, about. */
  get bytes(): number {
    return this.#end
  }

  /** A place for one entry of the part, to be filled before the next call. Zeroed. */
  add(part: number): Buffer {
    let buffer = this.#buffers[part] ?? Buffer.alloc(0)
    let at = this.#filled[part] ?? 0
    if (at + this.entryBytes > buffer.length) {
      if (at > 0) this.#write(part, buffer.subarray(0, at))
      buffer = this.#buffers[part] = Buffer.alloc(Math.max(chunkBytes, this.entryBytes))
      at = 0
    }
    this.#filled[part] = at + this.entryBytes
    this.#count++
    return buffer.subarray(at, at + this.entryBytes)
  }

  /** Resolves when what was added is out of the way: awaited now and then, it bounds what waits for the disk. */
  async written(): Promise<void> {
    await this.#writing
  }

  /** All entries of a part, in the order in which they were added. */
  async read(part: number): Promise<Buffer> {
    await this.#writing
    const buffered = this.#buffers[part]?.subarray(0, this.#filled[part]) ?? Buffer.alloc(0)
    const chunks = this.#chunks[part] ?? []
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0)
    const all = Buffer.alloc(bytes + buffered.length)
    let at = 0
    for (const chunk of chunks) {
      await this.#file.read(all, at, chunk.bytes, chunk.at)
      at += chunk.bytes
    }
    buffered.copy(all, at)
    return all
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing.catch(() => undefined)
    await this.#file.close()
  }

  #write(part: number, chunk: Buffer): void {
    const at = this.#end
    this.#end += chunk.length
    this.#chunks[part]?.push({ at, bytes: chunk.length })
    this.#writing = this.#writing.then(async () => {
      await this.#file.write(chunk, 0, chunk.length, at)
    })
    this.#writing.catch(() => undefined) // told by written() and read()
  }
}

/** The part of some bytes: FNV-1a, since ids may share all but a few of theirs. */
export function partOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash ^ (hash >>> 16) ^ (hash >>> 8)) & (partCount - 1)
}
