export { AuditError } from './audit-error.js'
export {
  dumpPartition,
  type Dumped,
  type DumpedMarker,
  type DumpedRecord,
  type DumpPartitionOptions,
} from './dump-partition.js'
export type { Cluster } from './end-offsets.js'
export { readGroupOffset, type ReadGroupOffsetOptions } from './group-offset.js'
export type { CommittedEvent, History, Sighting } from './history.js'
export { runJavaProgram, type JavaProgram } from './java-program.js'
export { judge } from './judge.js'
export { readLogBatches, type LogBatch, type LogBatchesOptions } from './log-batches.js'
export {
  readTopic,
  readTopics,
  type ReadOptions,
  type ReadTopicOptions,
  type ReadTopicsOptions,
} from './read-topic.js'
export type { TopicRecord } from './topic-record.js'
export {
  anomalies,
  anomalyNames,
  describeVerdict,
  type Anomaly,
  type Example,
  type Finding,
  type PlaceVerdict,
  type Verdict,
} from './verdict.js'
