import { createHash } from 'node:crypto'

/** A UUID made from the first bytes of a SHA-256, version 8 of RFC 9562 (custom): 16 bytes in an index, however large what it stands for. */
export function uuidOfHash(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  const hex = hash.digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
