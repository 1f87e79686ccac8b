import type { SqlConnection } from '@oncebox/core'
import { causeOf } from '../failing/dead-letter.js'
import type { StoredEvent } from '../failing/stored-event.js'
import { whileEnding, withoutZombies } from '../positions/without-zombies.js'
import { thisProcess } from '../running/alone.js'
import { claimParked } from '../sql/claim-parked.js'
import { endParked } from '../sql/end-parked.js'
import { failParked } from '../sql/fail-parked.js'
import { endStaleHolders, freeParkedKey } from '../sql/free-parked-key.js'
import { holdParked } from '../sql/hold-parked.js'
import { leaveParkedKey } from '../sql/leave-parked-key.js'
import { lockParkedKey } from '../sql/lock-parked-key.js'
import { readStaleKey } from '../sql/read-stale-key.js'
import { renewParked } from '../sql/renew-parked.js'
import { startParkedAlone } from '../sql/start-parked-alone.js'

/** The first event of a key, which nobody else runs while its lease lasts. */
export interface ClaimedEvent extends StoredEvent {
  /** Names this claim. */
  readonly holder: string
  readonly kills: number
  /** Runs from the queue that failed. */
  readonly retries: number
  readonly queue: string
  /** Somebody died with it in hand: it runs alone. */
  readonly suspect: boolean
}

const freeingMs = 5_000
const endingMs = 500

type QueueKey = Pick<ClaimedEvent, 'topic_id' | 'queue'>

/** What is done to parked events, in SQL. All times are the database's. */
export class ParkedEvents {
  readonly #outside: SqlConnection
  readonly #consumer: string
  readonly #leaseMs: number

  /** @param leaseMs How long a holder that is not heard of keeps its event. */
  constructor(outside: SqlConnection, consumer: string, leaseMs: number) {
    this.#outside = outside
    this.#consumer = consumer
    this.#leaseMs = leaseMs
  }

  /** The first event of a key that is due; undefined when there is none, or somebody was faster. */
  async claim(holder: string): Promise<ClaimedEvent | undefined> {
    const { rows } = await this.#outside.query<Omit<ClaimedEvent, 'holder'>>(claimParked, [
      this.#consumer,
      holder,
      this.#leaseMs,
      thisProcess,
    ])
    return rows[0] === undefined ? undefined : { ...rows[0], holder }
  }

  /** It runs alone from now on: a lease that runs out is a kill. False when somebody else has the event by now. */
  async startAlone({ number, holder }: ClaimedEvent): Promise<boolean> {
    const { rowCount } = await this.#outside.query(startParkedAlone, [number, holder, thisProcess])
    return rowCount === 1
  }

  /** False when somebody else has the event by now. */
  async renew({ number, holder }: ClaimedEvent): Promise<boolean> {
    const { rowCount } = await this.#outside.query(renewParked, [number, holder, this.#leaseMs])
    return rowCount === 1
  }

  /**
   * First in a transaction that moves the queue on: events of the key that arrive wait until it has ended.
   * @returns The server process of the transaction; undefined when the queue is empty already
   */
  async lock(connection: SqlConnection, { topic_id: topicId, queue }: QueueKey): Promise<number | undefined> {
    const locking = connection.query<{ backend: number }>(lockParkedKey, [this.#consumer, topicId, queue])
    const { rows } = await withoutZombies(this.#outside, this.#leaseMs, locking)
    return rows[0]?.backend
  }

  /** Whether the event is still this holder's; then it stays so until the transaction has ended. */
  async isHeld(connection: SqlConnection, { number, holder }: ClaimedEvent): Promise<boolean> {
    return (await connection.query(holdParked, [number, holder])).rowCount === 1
  }

  /** In the transaction of the effect. False when the event is somebody else's by now: nothing may be committed. */
  async end(connection: SqlConnection, { number, holder }: ClaimedEvent): Promise<boolean> {
    const { rows } = await connection.query<{ ended: number }>(endParked, [number, holder])
    return rows[0]?.ended === 1
  }

  /** The queue goes on, in the transaction that took an event out of it. */
  async leave(connection: SqlConnection, { topic_id: topicId, queue }: QueueKey): Promise<void> {
    await connection.query(leaveParkedKey, [this.#consumer, topicId, queue])
  }

  /** A run has failed. */
  async fail({ number, holder }: ClaimedEvent, delayMs: number, error: unknown): Promise<void> {
    const { code, reason, stack } = causeOf(error)
    await this.#outside.query(failParked, [number, holder, 1, delayMs, code, reason, stack])
  }

  /** Given up in good order: no run, nobody died over it. */
  async release({ number, holder }: ClaimedEvent, delayMs: number): Promise<void> {
    await this.#outside.query(failParked, [number, holder, 0, delayMs, null, null, null])
  }

  /**
   * A holder whose lease has run out may stand still in the middle of its transaction. Waits for the lock of such a key, a
   * few seconds at most, and ends that transaction. The key is due again then.
   */
  async freeStale(): Promise<void> {
    const { rows } = await this.#outside.query<QueueKey>(readStaleKey, [this.#consumer])
    const [stale] = rows
    if (stale === undefined) return
    const freeing = this.#outside.query(freeParkedKey, [
      this.#consumer,
      stale.topic_id,
      stale.queue,
      `${freeingMs}ms`,
    ])
    await whileEnding(endingMs, freeing, () => this.#outside.query(endStaleHolders, [this.#leaseMs]))
  }
}
