import { OutboxError } from '@oncebox/core'
import type { Cluster } from '../cluster.js'
import type { Deadline } from '../deadline.js'
import { askPatiently, type PartitionAddress } from '../partition-offsets.js'
import type { Api } from '../protocol/api.js'
import { describeCode, errorCode } from '../protocol/error-codes.js'
import { fetch, type FetchRequest, type PartitionFetch } from '../protocol/fetch.js'
import type { ConsumedRecord } from '../records/batch-record.js'
import { committedRecords } from '../records/committed-records.js'

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
    const partition = { index: at.partition, fetchOffset: offset, maxBytes: fetchBytesMax }
    const request = {
      maxWaitMs: fetchWaitMs,
      maxBytes: fetchBytesMax,
      topics: [{ topicId, partitions: [partition] }],
    }
    const answer = await askPatiently(cluster, fetchOne, request, at, deadline, {
      connections: cluster.fetches,
    })
    if (answer.errorCode !== errorCode.NONE) {
      throw new OutboxError(
        'KAFKA_TOPIC_UNAVAILABLE',
        `reading ${at.topic}-${at.partition} at offset ${offset}: ${describeCode(answer.errorCode)}`,
        {
          details: { ...at, offset: String(offset), code: answer.errorCode },
        },
      )
    }
    const { records, nextOffset } = committedRecords(answer.records, answer.aborted, {
      from: offset,
      decompressedBytesMax: cluster.options.decompressedBytesMax,
    })
    yield records.filter((record) => record.offset < end)
    if (nextOffset === undefined && answer.lastStableOffset <= offset) return
    offset = nextOffset ?? offset
  }
}

/** Fetch of one partition. */
const fetchOne: Api<
  FetchRequest,
  Pick<PartitionFetch, 'errorCode' | 'lastStableOffset' | 'aborted' | 'records'>
> = {
  ...fetch,
  decode: (reader) => {
    const { throttleMs, errorCode: code, topics } = fetch.decode(reader)
    const answer = { ...nothing, throttleMs, ...topics[0]?.partitions[0] }
    return code === errorCode.NONE ? answer : { ...answer, errorCode: code }
  },
}

const nothing = {
  errorCode: errorCode.UNKNOWN_SERVER_ERROR as number, // of an answer without the partition that was asked for
  lastStableOffset: -1n,
  aborted: [],
  records: Buffer.alloc(0),
}
