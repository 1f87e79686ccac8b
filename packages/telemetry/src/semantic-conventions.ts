/**
 * Names of OpenTelemetry's semantic conventions for messaging, version 1.45. They are not stable: this is the one file that
 * knows them.
 * @see https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 * @see https://opentelemetry.io/docs/specs/semconv/messaging/kafka/
 */
export const attribute = {
  system: 'messaging.system',
  operationName: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destination: 'messaging.destination.name',
  partition: 'messaging.destination.partition.id',
  messageId: 'messaging.message.id',
  messageCount: 'messaging.batch.message_count',
  consumerGroup: 'messaging.consumer.group.name',
  offset: 'messaging.kafka.offset',
  errorType: 'error.type',
  /** Ours: no convention names these. */
  eventType: 'oncebox.event.type',
  attempt: 'oncebox.attempt',
  outcome: 'oncebox.outcome',
  relay: 'oncebox.relay',
  shard: 'oncebox.shard',
  epoch: 'oncebox.epoch',
} as const

export const system = 'kafka'

/** The type of an operation of the conventions; ours have the same names. */
export type Operation = 'create' | 'send' | 'process'

/** `{operation} {destination}`; without a destination when there are several. */
export const spanName = (operation: Operation, destination: string | undefined): string =>
  destination === undefined ? operation : `${operation} ${destination}`
