export { createConsumer, type Consumer, type DatabaseConsumer } from './consumer.js'
export type {
  AckContext,
  AnyEventOf,
  BatchHandler,
  ConsumedEvent,
  ConsumedPayload,
  DatabaseContext,
  EventMetadata,
  EventOrigin,
  EventTypeOf,
  Handler,
  HandlerContext,
  KafkaContext,
  RedisContext,
  Send,
} from './event.js'
export type { DeadLetterOutbox } from './failing/dead-letter-topic.js'
export {
  ConsumerLetters,
  consumerLetterStates,
  letterUnknown,
  type ConsumerLetter,
  type ConsumerLetterState,
  type LetterCount,
  type LetterSelection,
  type NamedLetters,
} from './failing/consumer-letters.js'
export type { ErrorMatch } from './failing/retry-rule.js'
export type { ReplayResult } from './failing/replay.js'
export {
  createInboxDedup,
  type InboxDedup,
  type InboxDedupOptions,
  type InboxEventKey,
} from './inbox-dedup.js'
export { examineWindows, type InboxFinding } from './housekeeping/examine-windows.js'
export type { PartitionLag } from './lag/partition-lag.js'
export { readConsumerLag, readGroupLag, type StandingPartition } from './lag/read-lag.js'
export { inboxMigrations, migrateInbox } from './migrate.js'
export type {
  AssignedPartition,
  CommonOptions,
  DatabaseOptions,
  GroupOptions,
  KafkaModeOptions,
  ManualAckOptions,
  RedisModeOptions,
  RetryOptions,
  UnguardedOptions,
} from './options.js'
export { parkKey, type ParkingRetry, type ParkKeyOptions } from './parking/park-key.js'
export type { StartAt } from './positions/start-at.js'
export {
  retryTopics,
  type RetryTopicsOptions,
  type TierPlace,
  type TopicsRetry,
} from './retrying/retry-topics.js'
export type { ConsumerCounts } from './report.js'
export type { PartitionSelection } from './running/pauses.js'
export type { KafkaOptions } from '@oncebox/kafka'
export { topicsMatching, type TopicPattern } from './subscription.js'
export { OutboxError, PermanentError } from '@oncebox/core'
