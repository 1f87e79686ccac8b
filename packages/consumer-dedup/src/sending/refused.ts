import { OutboxError } from '@oncebox/core'
import { KafkaFailure } from '@oncebox/kafka'

const codes = ['KAFKA_RECORD_TOO_LARGE', 'KAFKA_RECORD_REFUSED', 'CONSUMER_OPTIONS_INVALID'] as const

/**
 * Whether nothing of it is there, and nothing ever will be: a record that no attempt makes smaller, one whose content the broker
 * refuses, or a partition that is not there.
 */
export const isRefused = (error: unknown): boolean =>
  codes.some((code) => OutboxError.is(error, code)) &&
  (!(error instanceof KafkaFailure) || error.outcome === 'not-committed')
