export type { StandardSchemaV1 } from '@standard-schema/spec'
export { delay, nextDelayMs, type Backoff } from './backoff.js'
export { bucketCount, bucketOf } from './bucket.js'
export {
  channels,
  type EmittingMessage,
  type HandlingMessage,
  type HandlingOutcome,
  type LaggingMessage,
  type MarksKeptMessage,
  type PublishedMessage,
} from './channels.js'
export {
  envelopeHeaders,
  headerText,
  isReservedHeader,
  adoptedHeader,
  replayedHeader,
  readEnvelope,
  type Envelope,
  type HeaderBag,
} from './envelope.js'
export {
  errorCodes,
  invariant,
  OutboxError,
  PermanentError,
  type ErrorCode,
  type ErrorCodeRow,
  type ErrorDetails,
  type OutboxErrorOptions,
} from './errors.js'
export {
  faultPoint,
  faultPoints,
  installFaultHandler,
  type FaultHandler,
  type FaultPoint,
} from './fault-points.js'
export { LinkedSignal } from './linked-signal.js'
export { bytes, json, text, type PayloadCodec } from './payload-codec.js'
export type {
  Database,
  SqlConnection,
  SqlResult,
  Statement,
  StatementOptions,
  TransactionOptions,
} from './ports/database.js'
export type { Service, ServiceState } from './service.js'
export {
  defineTopic,
  type AnyPayloadOf,
  type AnyTopic,
  type EventSchemas,
  type PayloadInputOf,
  type PayloadOf,
  type Topic,
  type TopicOptions,
} from './topic.js'
