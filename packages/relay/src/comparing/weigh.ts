import type { CompareRequest } from './compare-request.js'
import { Evidence } from './evidence.js'
import type { RecordedOrder } from './load-order.js'
import type { MatchedEvents } from './match-events.js'
import { placeInWindows } from './place-in-windows.js'
import type { Anchor, Place } from './publication-order.js'
import type { BothSides } from './read-both-sides.js'

/** Finds the windows of the first records, and makes evidence of them. */
export async function weigh(
  { firsts }: MatchedEvents,
  order: RecordedOrder,
  { scanned, topics }: BothSides,
  { client, isOwnCluster, positions }: CompareRequest,
): Promise<Evidence> {
  const named = [...firsts].flatMap(([partition, places]) =>
    [...places.values()].map(({ anchor }) => ({ partition, anchor })),
  )
  const { anchors, publishedTo } = await placeInWindows(
    client,
    named.map(({ anchor }) => anchor),
    positions,
    currentPlaces(order),
  )
  const byPartition = new Map<string, Anchor[]>()
  for (const [index, anchor] of anchors.entries()) {
    const partition = named[index]?.partition ?? ''
    const known = byPartition.get(partition)
    if (known === undefined) byPartition.set(partition, [anchor])
    else known.push(anchor)
  }
  return new Evidence({
    order,
    topics,
    isOwnCluster,
    positions,
    publishedTo,
    anchors: byPartition,
    copiers: scanned.copiers,
  })
}

/** The shards of the newest map in each numbering: how far they are is asked even where no record of theirs is left. */
function currentPlaces({ generations }: RecordedOrder): readonly Place[] {
  return (['native', 'copied'] as const).flatMap((numbering) => {
    const newest = generations[numbering].at(-1)
    return (newest?.map.shards ?? []).map(({ shard }) => ({
      numbering,
      generation: newest?.generation ?? 0,
      shard,
    }))
  })
}
