import { createHash } from 'node:crypto'

/** The first eight bytes of the SHA-256 of some bytes. */
export const shortHash = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest().subarray(0, 8)

const hashes = new Map<string, Buffer>()
const hashesMax = 10_000

/** The {@link shortHash} of a source's name, which many events share. */
export function sourceHash(source: Buffer): Buffer {
  const text = source.toString('latin1')
  const known = hashes.get(text)
  if (known !== undefined) return known
  if (hashes.size >= hashesMax) hashes.clear()
  const hash = shortHash(source)
  hashes.set(text, hash)
  return hash
}
