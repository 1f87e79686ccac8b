/** The modes and adapters that the contract is for, and what each promises. */
import type { FaultPoint } from '@oncebox/core'

export interface ModeUnderTest {
  readonly name: string
  readonly mode: 'inbox' | 'position' | 'redis' | 'kafka' | 'at-least-once' | 'at-most-once'
  readonly driver?: 'pg' | 'knex'
  /** Of a crash: whether it may double an effect, and whether it may lose one. */
  readonly mayDouble: boolean
  readonly mayLose: boolean
  /** Whether an event that is published twice takes effect once. */
  readonly knowsIds: boolean
  /** Whether a batch handler that is killed, or fails, leaves nothing behind. */
  readonly takesBatches: boolean
  /** Whether a failed event is tried again. */
  readonly retries: boolean
  /** Whether a failed event may be sent to a retry topic. */
  readonly takesRetryTopics: boolean
  /** Whether attempts outlive the process. */
  readonly remembersAttempts: boolean
  /** The crash windows that it has. */
  readonly points: readonly FaultPoint[]
}

const database: readonly FaultPoint[] = [
  'consumer.attempt.started',
  'consumer.effect.done',
  'consumer.commit.sent',
  'consumer.commit.acked',
  'consumer.position.written',
  'consumer.offset.committed',
]
const once = { mayDouble: false, mayLose: false }

const inbox = (driver: 'pg' | 'knex'): ModeUnderTest => ({
  name: `inbox on ${driver}`,
  mode: 'inbox',
  driver,
  ...once,
  knowsIds: true,
  takesBatches: true,
  retries: true,
  takesRetryTopics: true,
  remembersAttempts: true,
  points: [...database, 'consumer.mark.inserted'],
})
const position = (driver: 'pg' | 'knex'): ModeUnderTest => ({
  name: `position on ${driver}`,
  mode: 'position',
  driver,
  ...once,
  knowsIds: false,
  takesBatches: true,
  retries: true,
  takesRetryTopics: true,
  remembersAttempts: true,
  points: [...database, 'consumer.position.moved'],
})

/** Those whose events can wait in a database. */
export const databaseModes: readonly ModeUnderTest[] = [inbox('pg'), position('knex')]

export const modesUnderTest: readonly ModeUnderTest[] = [
  inbox('pg'),
  inbox('knex'),
  position('pg'),
  position('knex'),
  {
    name: 'redis',
    mode: 'redis',
    ...once,
    knowsIds: true,
    takesBatches: false,
    retries: true,
    takesRetryTopics: false,
    remembersAttempts: false,
    points: [
      'redis.claimed',
      'consumer.effect.done',
      'redis.effect.sent',
      'consumer.offset.due',
      'consumer.offset.committed',
    ],
  },
  {
    name: 'kafka',
    mode: 'kafka',
    ...once,
    knowsIds: false,
    takesBatches: true,
    retries: true,
    takesRetryTopics: true,
    remembersAttempts: false,
    points: [
      'consumer.effect.done',
      'relay.produce.sent',
      'relay.produce.acked',
      'relay.endtxn.sent',
      'relay.endtxn.acked',
      'consumer.offset.committed',
    ],
  },
  {
    name: 'at-least-once',
    mode: 'at-least-once',
    mayDouble: true,
    mayLose: false,
    knowsIds: false,
    takesBatches: false,
    retries: true,
    takesRetryTopics: true,
    remembersAttempts: false,
    points: ['consumer.effect.done', 'consumer.offset.due', 'consumer.offset.committed'],
  },
  {
    name: 'at-most-once',
    mode: 'at-most-once',
    mayDouble: false,
    mayLose: true,
    knowsIds: false,
    takesBatches: false,
    retries: false,
    takesRetryTopics: false,
    remembersAttempts: false,
    points: ['consumer.effect.done', 'consumer.offset.committed'],
  },
]
