import { createHash, randomInt } from 'node:crypto'

/** Keys are hashed into this many buckets at emit; the shard map assigns ranges of buckets to shards. Fixed for good. */
export const bucketCount = 256

/**
 * The bucket of an ordering key: the first byte of its SHA-256. The SQL function `outbox.bucket` computes the same, so
 * writers in any language agree. An event without a key has no order to keep and gets a random bucket.
 */
export function bucketOf(key: string | null): number {
  return key === null
    ? randomInt(bucketCount)
    : createHash('sha256').update(key, 'utf8').digest().readUInt8(0)
}
