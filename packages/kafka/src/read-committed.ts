import { OutboxError } from '@oncebox/core'
import type { Cluster } from './cluster.js'
import type { Deadline } from './deadline.js'
import { askPatiently, type PartitionAddress } from './partition-offsets.js'
import { describeCode, errorCode } from './protocol/error-codes.js'
import { fetch, type FetchRequest } from './protocol/fetch.js'
import { committedRecords } from './records/committed-records.js'
import type { ConsumedRecord } from './records/read-batches.js'

const fetchBytesMax = 1024 * 1024
const fetchWaitMs = 500

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
    const request: FetchRequest = {
      topicId,
      partition: at.partition,
      fetchOffset: offset,
      maxWaitMs: fetchWaitMs,
      maxBytes: fetchBytesMax,
    }
    const answer = await askPatiently(cluster, fetch, request, at, deadline, { connections: cluster.fetches })
    if (answer.errorCode !== errorCode.NONE) {
      throw new OutboxError(
        'KAFKA_TOPIC_UNAVAILABLE',
        `reading ${at.topic}-${at.partition} at offset ${offset}: ${describeCode(answer.errorCode)}`,
        {
          details: { ...at, offset: String(offset), code: answer.errorCode },
        },
      )
    }
    const { records, nextOffset } = committedRecords(
      answer.records,
      answer.aborted,
      cluster.options.decompressedBytesMax,
    )
    // The first batch may begin before the offset that was asked for.
    yield records.filter((record) => record.offset >= offset && record.offset < end)
    if (nextOffset === undefined && answer.lastStableOffset <= offset) return
    offset = nextOffset ?? offset
  }
}
