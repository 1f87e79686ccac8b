import type { Cluster } from '../cluster.js'
import type { Deadline } from '../deadline.js'
import type { PartitionAddress } from '../partition-offsets.js'
import type { ConsumedRecord } from '../records/batch-record.js'
import { committedRecords } from '../records/committed-records.js'
import { fetchPartition } from './fetch-partition.js'

const fetchBytesMax = 1024 * 1024

/**
 * The committed records at offsets from `from` up to but excluding `end`, in order, one Fetch at a time. Ends at the
 * last stable offset when that comes first. An offset that the cleaner removed is passed over.
 *
 * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, also when the topic was deleted and created again meanwhile;
 *   KAFKA_BATCH_TOO_LARGE, KAFKA_CODEC_MISSING
 */
export async function* readCommitted(
  cluster: Cluster,
  at: PartitionAddress,
  from: bigint,
  end: bigint,
  deadline: Deadline,
): AsyncGenerator<ConsumedRecord[]> {
  const { topicId } = await cluster.layout(at.topic, deadline)
  for (let offset = from; offset < end;) {
    const fetched = { offset, maxBytes: fetchBytesMax }
    const answer = await fetchPartition(cluster, { ...at, topicId }, fetched, deadline)
    const { records, nextOffset } = committedRecords(answer.records, answer.aborted, {
      from: offset,
      decompressedBytesMax: cluster.options.decompressedBytesMax,
    })
    yield records.filter((record) => record.offset < end)
    if (nextOffset === undefined && answer.lastStableOffset <= offset) return
    offset = nextOffset ?? offset
  }
}
