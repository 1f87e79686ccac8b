import { OutboxError } from '@oncebox/core'
import type { Cluster } from '../cluster.js'
import type { Deadline } from '../deadline.js'
import { askPatiently, type PartitionAddress } from '../partition-offsets.js'
import type { Api } from '../protocol/api.js'
import { describeCode, errorCode } from '../protocol/error-codes.js'
import { fetch, type FetchRequest, type PartitionFetch } from '../protocol/fetch.js'

const fetchWaitMs = 500

export interface FetchPartitionOptions {
  readonly offset: bigint
  /** The broker sends at least one batch, however large. */
  readonly maxBytes: number
  /** Default `read-committed`. `read-uncommitted` goes up to the high watermark and names no aborted transactions. */
  readonly isolation?: FetchRequest['isolation']
}

/**
 * One Fetch of one partition, by the id that its topic had when it was first looked up.
 *
 * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, also when the topic was deleted and created again meanwhile;
 *   KAFKA_UNAVAILABLE
 */
export async function fetchPartition(
  cluster: Cluster,
  at: PartitionAddress & { readonly topicId: string },
  { offset, maxBytes, isolation = 'read-committed' }: FetchPartitionOptions,
  deadline: Deadline,
): Promise<OnePartition> {
  const { topic, topicId, partition } = at
  const partitions = [{ index: partition, fetchOffset: offset, maxBytes }]
  const request = { maxWaitMs: fetchWaitMs, maxBytes, isolation, topics: [{ topicId, partitions }] }
  const answer = await askPatiently(cluster, fetchOne, request, at, deadline, {
    connections: cluster.fetches,
  })
  if (answer.errorCode === errorCode.NONE) return answer
  throw new OutboxError(
    'KAFKA_TOPIC_UNAVAILABLE',
    `reading ${topic}-${partition} at offset ${offset}: ${describeCode(answer.errorCode)}`,
    { details: { topic, topicId, partition, offset: String(offset), code: answer.errorCode } },
  )
}

type OnePartition = Pick<PartitionFetch, 'errorCode' | 'lastStableOffset' | 'aborted' | 'records'>

const fetchOne: Api<FetchRequest, OnePartition> = {
  ...fetch,
  decode: (reader) => {
    const { throttleMs, errorCode: code, topics } = fetch.decode(reader)
    const answer = { ...nothing, throttleMs, ...topics[0]?.partitions[0] }
    return code === errorCode.NONE ? answer : { ...answer, errorCode: code }
  },
}

const nothing: OnePartition = {
  errorCode: errorCode.UNKNOWN_SERVER_ERROR, // of an answer without the partition that was asked for
  lastStableOffset: -1n,
  aborted: [],
  records: Buffer.alloc(0),
}
