export type { DescribeOptions, KafkaClient, TopicDescription, TopicIdentity } from './client.js'
export { connectKafka } from './cluster.js'
export { createTopic, type CreateTopicOptions } from './create-topic.js'
export type { Codec, Compression, CompressionType } from './codecs/codec.js'
export { codecFor } from './codecs/codecs.js'
export {
  joinGroup,
  type GroupAssignment,
  type GroupMember,
  type GroupMemberOptions,
} from './group/group-member.js'
export {
  commitGroupOffsets,
  readGroupOffsets,
  type CommitGroupOffsetsOptions,
  type GroupMetadata,
  type GroupOffset,
  type ReadGroupOffsetsOptions,
} from './group/group-offsets.js'
export type { AssignedPartition } from './group/group-topics.js'
export { KafkaFailure, type KafkaFailureClass, type TransactionOutcome } from './kafka-failure.js'
export type { KafkaOptions } from './options.js'
export type { PartitionAddress } from './partition-offsets.js'
export { murmur2, partitionForKey } from './partitioner.js'
export { ensureProgressTopic, type ProgressTopicOptions } from './progress-topic.js'
export {
  startFetching,
  type FetchLoop,
  type FetchLoopOptions,
  type PartitionProgress,
} from './reading/fetch-loop.js'
export type { FetchedBatch, LogOffsets } from './reading/fetched-batch.js'
export type { PartitionStart } from './reading/partition-cursor.js'
export {
  offsetSince,
  untilDecided,
  type DecidedRange,
  type UntilDecidedOptions,
} from './reading/decided-offsets.js'
export { readLastValue, type ReadLastValueOptions } from './reading/read-last-value.js'
export { readPartition, type ReadPartitionOptions } from './reading/read-partition.js'
export { untilStable, type UntilStableOptions, type WrittenUpTo } from './reading/until-stable.js'
export { readUndecided, type ReadUndecidedOptions, type UndecidedRecord } from './reading/read-undecided.js'
export { readTopicSettings } from './reading/topic-settings.js'
export { readTopicOffsets, type PartitionOffsets, type TopicOffsets } from './reading/topic-offsets.js'
export type { ConsumedRecord } from './records/batch-record.js'
export { encodeHeader } from './records/header.js'
export { PartitionRecords, type PartitionRecordsOptions } from './records/partition-records.js'
export { openSession, type Claim, type OpenSessionOptions } from './session/open-session.js'
export type {
  ClaimedSession,
  ConsumedOffsets,
  Receipt,
  SessionState,
  Transaction,
  TransactionSession,
} from './session/transaction-session.js'
export { countBrokers, readTopicHealth, type TopicHealth } from './reading/topic-health.js'
export {
  findTornTransactions,
  holdIds,
  type FindTornOptions,
  type HeldIds,
  type HoldIdsOptions,
  type TornTransaction,
} from './session/torn-transactions.js'
