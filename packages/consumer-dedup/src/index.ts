export { createConsumer, type Consumer } from './consumer.js'
export type { DeadLetterOutbox } from './dead-letter-topic.js'
export type {
  ConsumedEvent,
  ConsumedPayload,
  EventMetadata,
  EventTypeOf,
  InboxContext,
  InboxHandler,
} from './event.js'
export { inboxMigrations, migrateInbox } from './migrate.js'
export type { ConsumerOptions, RetryOptions } from './options.js'
export type { ReplayResult } from './replay.js'
export type { ConsumerCounts } from './report.js'
export type { KafkaOptions } from '@oncebox/kafka'
export { OutboxError, PermanentError } from '@oncebox/core'
