import { OutboxError } from '@oncebox/core'
import type { Subject } from '../modes/partition-effects.js'
import type { Attempts } from './attempts.js'

/** Processes ended over this event, again and again. */
export function handlerKilled(
  { record, envelope }: Pick<Subject, 'record' | 'envelope'>,
  { kills }: Pick<Attempts, 'kills'>,
): OutboxError {
  return new OutboxError(
    'CONSUMER_HANDLER_KILLED',
    `${kills} processes ended while they handled event ${envelope.id} alone`,
    {
      details: {
        id: envelope.id,
        topic: record.topic,
        partition: record.partition,
        offset: String(record.offset),
        kills,
      },
    },
  )
}
