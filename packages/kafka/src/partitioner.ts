const seed = 0x9747b28c
const multiplier = 0x5bd1e995
const shift = 24

/**
 * Murmur2 as Kafka's Java client computes it (org.apache.kafka.common.utils.Utils.murmur2), a signed 32-bit integer.
 * Works on a range of `bytes`, so that a key need not be cut out of its row.
 */
export function murmur2(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const length = end - start
  let hash = seed ^ length
  let at = start
  for (; at + 4 <= end; at += 4) {
    let word =
      (bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)
    word = Math.imul(word, multiplier)
    word ^= word >>> shift
    hash = Math.imul(hash, multiplier) ^ Math.imul(word, multiplier)
  }
  const rest = end - at
  if (rest > 0) {
    if (rest === 3) hash ^= (bytes[at + 2] ?? 0) << 16
    if (rest >= 2) hash ^= (bytes[at + 1] ?? 0) << 8
    hash = Math.imul(hash ^ (bytes[at] ?? 0), multiplier)
  }
  hash ^= hash >>> 13
  hash = Math.imul(hash, multiplier)
  return hash ^ (hash >>> 15)
}

/**
 * The partition of a key, as the Java client's default partitioner chooses it: other clients then agree on where a key
 * lives. `start` and `end` name a range of `key`.
 */
export function partitionForKey(key: Uint8Array, partitions: number, start = 0, end = key.length): number {
  return (murmur2(key, start, end) & 0x7fff_ffff) % partitions
}
