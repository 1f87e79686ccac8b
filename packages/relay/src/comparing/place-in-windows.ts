import type { Client } from 'pg'
import type { Position } from '../position.js'
import type { Snapshot } from '../reading/snapshot.js'
import type { ComparedTopic } from './compared-topic.js'
import { placeName, type Evidence, type Placed } from './evidence.js'
import { loadShardOrder } from './load-order.js'
import type { Anchor, Place } from './publication-order.js'

/** An anchor of which only the row is known. */
export type UnplacedAnchor = Omit<Anchor, 'window' | 'lastOfTransaction'>

export function anchorOf(
  row: Placed,
  evidence: Evidence,
  topics: readonly ComparedTopic[],
): UnplacedAnchor | undefined {
  const { txid, seq, bucket } = row
  const topicName = topics[row.topic]?.name
  const place = topicName === undefined ? undefined : evidence.placeOf(row)
  if (topicName === undefined || place === undefined || typeof place === 'string') return undefined
  return { txid, seq, bucket, topicName, place }
}

/** The anchors, in the order given, with their windows; and how far the windows of each place go. */
export async function placeInWindows(
  client: Client,
  rows: readonly UnplacedAnchor[],
  positions: ReadonlyMap<string, Position>,
  others: readonly Place[] = [],
): Promise<{ readonly anchors: readonly Anchor[]; readonly publishedTo: ReadonlyMap<string, Snapshot> }> {
  const ends = await endsOfTransactions(client, rows)
  const anchors = rows.map((row) => ({ ...row, lastOfTransaction: ends.get(row.txid) ?? row.seq }))
  const places = new Map(
    [...anchors.map(({ place }) => place), ...others].map((place) => [placeName(place), place]),
  )
  const placed = new Map<Omit<Anchor, 'window'>, Anchor>()
  const publishedTo = new Map<string, Snapshot>()
  for (const [name, place] of places) {
    const ofPlace = anchors.filter((anchor) => placeName(anchor.place) === name)
    const found = await loadShardOrder(client, place, ofPlace, positions.get(name))
    for (const [index, anchor] of ofPlace.entries()) {
      const withWindow = found.anchors[index]
      if (withWindow !== undefined) placed.set(anchor, withWindow)
    }
    if (found.publishedTo !== undefined) publishedTo.set(name, found.publishedTo)
  }
  return {
    anchors: anchors.map((anchor) => placed.get(anchor) ?? { ...anchor, window: undefined }),
    publishedTo,
  }
}

/** The last sequence number of each transaction that these rows are of. */
async function endsOfTransactions(
  client: Client,
  rows: readonly UnplacedAnchor[],
): Promise<ReadonlyMap<bigint, bigint>> {
  const txids = [...new Set(rows.map(({ txid }) => String(txid)))]
  const found = await client.query<{ txid: string; last: string }>(
    'select txid::text as txid, max(seq)::text as last from outbox.events where txid = any ($1::xid8[]) group by txid',
    [txids],
  )
  return new Map(found.rows.map(({ txid, last }) => [BigInt(txid), BigInt(last)]))
}
