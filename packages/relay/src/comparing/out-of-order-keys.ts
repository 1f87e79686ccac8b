import type { Client } from 'pg'
import type { Comparison } from './comparison.js'
import type { AbsentEvents } from './findings.js'
import { partCount, partOf, Spill } from './spill.js'
import { entriesOf } from './join.js'

/** Keys of which a later event is in the topic already. */
export interface OutOfOrderKeys {
  readonly count: number
  /** The first thousand. */
  readonly keys: readonly { readonly topic: string; readonly key: string }[]
}

const entryBytes = 16
const keysMax = 1_000

/** The keys whose order is broken when the absent events are published now. */
export async function keysOutOfOrder(
  client: Client,
  comparison: Comparison,
  absent: AbsentEvents,
): Promise<OutOfOrderKeys> {
  await using byKey = await Spill.create(entryBytes)
  for await (const { keyName, seq } of absent.inOrder()) {
    if (keyName === noKey) continue
    const name = Buffer.from(keyName, 'latin1')
    const entry = byKey.add(partOf(name))
    name.copy(entry, 0)
    entry.writeBigInt64BE(seq, 8)
  }
  let count = 0
  const seqs: bigint[] = []
  for (let part = 0; part < partCount; part++) {
    const highest = await comparison.keys.highestOf(part)
    const broken = new Map<string, bigint>()
    for (const entry of entriesOf(await byKey.read(part), entryBytes)) {
      const name = entry.toString('latin1', 0, 8)
      const seq = entry.readBigInt64BE(8)
      if (seq < (highest.get(name) ?? -1n)) broken.set(name, seq)
    }
    count += broken.size
    for (const seq of broken.values()) if (seqs.length < keysMax) seqs.push(seq)
  }
  const { rows } = await client.query<{ topic: string; key: string }>(
    'select distinct topic, key from outbox.events where seq = any($1) and key is not null order by 1, 2',
    [seqs.map(String)],
  )
  return { count, keys: rows }
}

const noKey = '\0'.repeat(8)
