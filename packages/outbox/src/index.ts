export { fromKnex } from './adapters/knex.js'
export type { PgTransaction } from './adapters/pg-client.js'
export { fromPg } from './adapters/pg.js'
export type {
  KnexTransactionHandle,
  PgTransactionHandle,
  TransactionHandle,
} from './adapters/transaction-handle.js'
export type {
  Emit,
  EmitOptions,
  EventInput,
  EventToEmit,
  EventType,
  TombstoneOptions,
} from './event-types.js'
export { eventRow as encodeEvent, type EncodedEvent } from './event-row.js'
export { notifyChannel } from './insert-events.js'
export { checkSchema, migrateOutbox, outboxMigrations } from './migrate.js'
export { createOutbox, type Outbox, type OutboxTransactionOptions } from './outbox.js'
export type { OutboxOptions } from './outbox-options.js'
export { checkMigrations, runMigrations, type MigrationReport, type MigrationSet } from './run-migrations.js'
export {
  bytes,
  defineTopic,
  json,
  OutboxError,
  text,
  type AnyTopic,
  type Database,
  type ErrorCode,
  type PayloadCodec,
  type SqlConnection,
  type Topic,
  type TopicOptions,
} from '@oncebox/core'
