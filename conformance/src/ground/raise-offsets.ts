import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { KafkaNode } from '@internal/stack'

/** Of a record batch: its first offset, and behind that how many bytes follow. The checksum covers neither. */
const [baseOffsetAt, lengthAt, overheadBytes] = [0, 8, 12]

/**
 * Makes a topic old: every record of its partition 0 gets an offset that is higher by so much. Kafka takes any first
 * offset that it finds in a segment, so the broker is stopped, its file is renamed and the offsets in it are raised; it
 * makes indexes and snapshots again as it starts.
 */
export async function raiseOffsets(node: KafkaNode, topic: string, by: bigint): Promise<void> {
  await node.stop()
  const directory = path.join(node.logDir, `${topic}-0`)
  for (const name of await readdir(directory)) {
    const file = path.join(directory, name)
    if (name.endsWith('.log')) {
      await writeFile(file, raised(await readFile(file), by))
      const first = BigInt(path.basename(name, '.log')) + by
      await rename(file, path.join(directory, `${String(first).padStart(20, '0')}.log`))
    } else if (/\.(index|timeindex|txnindex|snapshot)$/.test(name) || name === 'leader-epoch-checkpoint')
      await rm(file)
  }
  await node.start()
}

function raised(segment: Buffer, by: bigint): Buffer {
  for (
    let at = 0;
    at + overheadBytes <= segment.length;
    at += overheadBytes + segment.readInt32BE(at + lengthAt)
  )
    segment.writeBigInt64BE(segment.readBigInt64BE(at + baseOffsetAt) + by, at + baseOffsetAt)
  return segment
}
