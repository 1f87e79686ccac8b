/**
 * A partition's log, written by the test while its broker is down: a million transactions of a session take half an hour, this
 * takes seconds. It is as good as one that the broker has written: killed and started, Kafka checks every batch of it and
 * makes its indexes, the one of aborted transactions too.
 */
import { open, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { crc32c } from '@node-rs/crc32'
import type { PrivateKafka } from '@internal/stack'
import { PartitionRecords } from '../src/index.js'
import { batchLayout, batchOverheadBytes } from '../src/records/batch-layout.js'

const producerId = 1_000n
const attributes = { records: 0x10, marker: 0x30 }
const chunkBytes = 8 * 1024 * 1024
const value = 'x'.repeat(300)

export interface WrittenTransaction {
  readonly key: string
  readonly ending: 'commit' | 'abort'
  readonly times: number
  /** Records of this key in each of the transactions; default 1. */
  readonly records?: number
}

/**
 * Transactions of one batch each, with their markers, as the log of partition 0 of an empty topic. The broker has been
 * killed, and has to be started afterwards.
 *
 * @returns the offset of the first record of each of the given transactions
 */
export async function writeLog(
  { logDir }: PrivateKafka,
  topic: string,
  transactions: readonly WrittenTransaction[],
): Promise<readonly bigint[]> {
  const directory = path.join(logDir, `${topic}-0`)
  // Made anew from the log when they are not there.
  for (const file of await readdir(directory))
    if (/\.(index|timeindex|txnindex|snapshot)$/.test(file)) await rm(path.join(directory, file))
  await using log = await open(path.join(directory, '00000000000000000000.log'), 'w')
  const firsts: bigint[] = []
  let offset = 0n
  for (const { key, ending, times, records = 1 } of transactions) {
    firsts.push(offset)
    const transaction = Buffer.concat([
      batch(
        Array.from({ length: records }, () => [key, value]),
        attributes.records,
      ),
      batch([[ending === 'commit' ? '\0\0\0\u0001' : '\0\0\0\0', '\0'.repeat(6)]], attributes.marker),
    ])
    const atOnce = Math.max(1, Math.floor(chunkBytes / transaction.length))
    for (let left = times; left > 0; left -= atOnce) {
      const chunk = Buffer.concat(Array.from({ length: Math.min(left, atOnce) }, () => transaction))
      for (let at = 0; at < chunk.length;) {
        chunk.writeBigInt64BE(offset, at + batchLayout.baseOffset) // not under the checksum
        offset += BigInt(chunk.readInt32BE(at + batchLayout.recordCount))
        at += batchOverheadBytes + chunk.readInt32BE(at + batchLayout.length)
      }
      await log.write(chunk)
    }
  }
  return firsts
}

function batch(given: readonly (readonly string[])[], kind: number): Buffer {
  const records = new PartitionRecords('log', 0, { maxMessageBytes: 1_000_000 })
  for (const [key = '', text = ''] of given) {
    const source = Buffer.from(key + text, 'latin1')
    records.append(Date.now(), source, 0, key.length, key.length, source.length, 0, [])
  }
  const bytes = Buffer.concat(records.takeBatches().map((sealable) => sealable.seal(producerId, 0, 0)))
  bytes.writeInt32BE(0, batchLayout.partitionLeaderEpoch)
  bytes.writeInt16BE(kind, batchLayout.attributes)
  if (kind === attributes.marker) bytes.writeInt32BE(-1, batchLayout.baseSequence)
  bytes.writeUInt32BE(crc32c(bytes.subarray(batchLayout.attributes)), batchLayout.crc)
  return bytes
}
