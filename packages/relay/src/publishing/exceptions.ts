import type { OutboxError } from '@oncebox/core'
import type { ParkedKeys } from '../dead-letters/parked-keys.js'
import type { PoisonChoice } from '../dead-letters/poison.js'

/** What a batch encoder has to know of events that are not simply published. */
export interface Exceptions {
  /** Events of the page that have a dead letter already: they are passed over. */
  readonly passedOver: ReadonlySet<bigint>
  /** Events that the broker refused when they stood alone, and why. */
  readonly refused: ReadonlyMap<bigint, OutboxError>
  readonly parked: ParkedKeys
  readonly parkedKeysMax: number
  /** Topics that were refused a moment ago: no event before one of theirs shares a batch with it. */
  readonly doubtful: ReadonlySet<string>
  choiceFor(topic: string): PoisonChoice
  /** How long a topic that is not there is waited for; absent: as long as a fresh one may need. */
  readonly topicPatienceMs?: number
}

/** An event that gets, or has, a dead letter instead of its place in the topic. */
export interface SetAside {
  readonly seq: bigint
  readonly id: string
  readonly topic: string
  readonly key: Buffer | undefined
  /** Whether its key is parked by it, or was parked already. */
  readonly parksKey: boolean
  /** Undefined when it was not tried, because its key is parked. */
  readonly refusal: Refusal | undefined
}

/** Why an event cannot be published, as its dead letter tells it. */
export interface Refusal {
  readonly code: string
  readonly reason: string
}

/** What a page cannot get past. The events before it are in the batch. */
export interface Halt {
  readonly error: unknown
  /** Sequence number of the event at which it waits. */
  readonly seq: bigint
}

const reasonMax = 1_000

export function refusalOf(error: OutboxError): Refusal {
  return { code: error.code, reason: error.message.replaceAll('\0', ' ').slice(0, reasonMax) }
}
