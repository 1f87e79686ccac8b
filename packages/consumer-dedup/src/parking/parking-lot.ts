import { faultPoint, OutboxError, type SqlConnection } from '@oncebox/core'
import type { Attempts } from '../failing/attempts.js'
import { causeOf, letterValues } from '../failing/dead-letter.js'
import type { Subject } from '../modes/partition-effects.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import { hasParkedKeys } from '../sql/has-parked-keys.js'
import { insertParked } from '../sql/insert-parked.js'
import { leaveParkedKey } from '../sql/leave-parked-key.js'
import { lockParkedKeys } from '../sql/lock-parked-keys.js'
import { queueParkedKey } from '../sql/queue-parked-key.js'
import { readParking } from '../sql/read-parking.js'
import { delayOf } from './delay-of.js'
import { queueOf } from './queue-of.js'

export interface ParkingDepth {
  readonly keys: number
  readonly events: number
  /** Keys whose time has come. */
  readonly due: number
  /** Until the next one is due; null when there is none. */
  readonly nextMs: number | null
}

type Options = Pick<ResolvedDatabaseOptions<unknown>, 'name' | 'parking'>

/** Where the events of one consumer wait: its keys, in the order in which they came. */
export class ParkingLot {
  readonly #options: Options
  /** As somebody last counted them, and those of this process since. A bound, not a decision about order. */
  #counted = { keys: 0, events: 0 }
  #onParked: () => void = () => undefined

  constructor(options: Options) {
    this.#options = options
  }

  get isOpen(): boolean {
    return this.#options.parking !== undefined
  }

  /** Whether what would be parked has to stop its partition. */
  get isFull(): boolean {
    const { parking } = this.#options
    return (
      parking !== undefined &&
      (this.#counted.keys >= parking.keysMax || this.#counted.events >= parking.eventsMax)
    )
  }

  /** Told when this process has parked something. */
  set onParked(listener: () => void) {
    this.#onParked = listener
  }

  async count(connection: SqlConnection): Promise<ParkingDepth> {
    const { rows } = await connection.query<Omit<ParkingDepth, 'nextMs'> & { next_ms: number | null }>(
      readParking,
      [this.#options.name],
    )
    const { keys = 0, events = 0, due = 0, next_ms: nextMs = null } = rows[0] ?? {}
    this.#counted = { keys, events }
    return { keys, events, due, nextMs }
  }

  /** Whether any key of this consumer is parked. */
  async hasKeys(connection: SqlConnection): Promise<boolean> {
    const { rows } = await connection.query<{ found: boolean }>(hasParkedKeys, [this.#options.name])
    return rows[0]?.found === true
  }

  /**
   * Whether the key of one of the events is parked; then it stays so until the transaction has ended. After the marks, in
   * the transaction of the effects.
   */
  async isKeyParked(connection: SqlConnection, records: readonly Subject['record'][]): Promise<boolean> {
    const [first] = records
    // An event without a key waits behind nobody.
    const queues = new Set(records.filter(({ key }) => key !== null).map(queueOf))
    if (first === undefined || queues.size === 0) return false
    const { rowCount } = await connection.query(lockParkedKeys, [
      this.#options.name,
      first.topicId,
      [...queues],
    ])
    return rowCount > 0
  }

  /**
   * Puts the event at the end of the queue of its key, in the transaction that passes it.
   * @throws OutboxError CONSUMER_PARKING_FULL
   */
  async park(
    connection: SqlConnection,
    { record, envelope, mark }: Subject,
    known: Attempts,
    error: unknown,
  ): Promise<void> {
    const { name, parking } = this.#options
    if (this.isFull) throw full(name, this.#counted)
    const queue = queueOf(record)
    const key = [name, record.topicId, queue]
    await connection.query(queueParkedKey, [...key, delayOf(parking, 0)])
    const letter = { consumer: name, envelope, record, ...known, ...causeOf(error) }
    const { rowCount } = await connection.query(insertParked, [...letterValues(mark, letter), queue])
    if (rowCount === 0) await connection.query(leaveParkedKey, key)
    await faultPoint('consumer.parked')
  }

  /** The transaction that has parked an event is committed. */
  parked(): void {
    const { keys, events } = this.#counted
    this.#counted = { keys, events: events + 1 }
    this.#onParked()
  }
}

/** Why an event waits whose own handler did not fail. */
export const keyParked = (): OutboxError =>
  new OutboxError('CONSUMER_KEY_PARKED', 'an earlier event of its key waits for its next attempt')

const full = (consumer: string, counted: { readonly keys: number; readonly events: number }): OutboxError =>
  new OutboxError(
    'CONSUMER_PARKING_FULL',
    `${counted.events} events of ${counted.keys} keys wait for another attempt: no more may be parked`,
    { details: { consumer, ...counted } },
  )
