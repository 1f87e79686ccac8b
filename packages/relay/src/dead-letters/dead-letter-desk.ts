import type { Client, ClientConfig } from 'pg'
import { OutboxError } from '@oncebox/core'
import { connectClient } from '../database-connections.js'
import { checkServer } from '../opening/database-state.js'

/**
 * `dead`: waits for a person. `parked`: waits for the dead one before it of its key. `requested`: waits for the relay.
 * `published` and `discarded` are the end.
 */
export const deadLetterStates = ['dead', 'parked', 'requested', 'published', 'discarded'] as const
export type DeadLetterState = (typeof deadLetterStates)[number]

/** An event that was set aside, without its payload. */
export interface DeadLetter {
  /** In the order in which events were set aside. */
  readonly number: number
  readonly state: DeadLetterState
  readonly id: string
  readonly seq: string
  readonly source: string
  readonly topic: string
  readonly type: string
  readonly key: string | null
  readonly partition: number | null
  readonly occurredAt: string
  readonly setAsideAt: string
  /** Why it was refused last; null for one that was never tried. */
  readonly code: string | null
  readonly reason: string | null
  /** Null for a tombstone. */
  readonly payloadBytes: number | null
}

export interface DeadLetterCopy extends DeadLetter {
  readonly headers: Readonly<Record<string, string>> | null
  readonly payload: Buffer | null
}

export interface ListDeadLetters {
  /** All that have not ended unless given. */
  readonly states?: readonly DeadLetterState[]
  readonly topic?: string
  readonly key?: string
  /** Default 100; 1 to 10,000. */
  readonly limit?: number
  /** Only letters behind this number: the last of the page before. */
  readonly after?: number
}

/** By number, or by the id of the event. */
export type DeadLetterReference = number | string

export interface RequestedDeadLetters {
  /** Letters that the relay will look at. Those parked behind them follow by themselves. */
  readonly requested: readonly number[]
}

const lettersOfRequestMax = 10_000
const statementTimeoutMs = 300_000
const openStates: readonly DeadLetterState[] = ['dead', 'parked', 'requested']

/** What a person can see of dead letters, and ask for. The relay of their shard does it, within about a second. */
export class DeadLetterDesk implements AsyncDisposable {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  /** @throws OutboxError OUTBOX_SCHEMA_MISSING, RELAY_STANDBY_REFUSED; a driver error */
  static async open(db: ClientConfig): Promise<DeadLetterDesk> {
    const client = await connectClient(db, 'oncebox dead-letters')
    try {
      await checkServer(client)
      await client.query(`set statement_timeout = ${statementTimeoutMs}`)
      return new DeadLetterDesk(client)
    } catch (error) {
      await client.end().catch(() => undefined)
      throw error
    }
  }

  /** In the order in which they were set aside. */
  async list({ states = openStates, topic, key, limit = 100, after = 0 }: ListDeadLetters = {}): Promise<
    readonly DeadLetter[]
  > {
    const { rows } = await this.#client.query<DeadLetter>(
      `${selectLetters}
        where l.number > $1 and s.state = any ($2) and ($3::text is null or l.topic = $3) and ($4::text is null or l.key = $4)
        order by l.number limit $5`,
      [after, states, topic, key, limit],
    )
    return rows
  }

  /** @throws OutboxError RELAY_DEAD_LETTER_UNKNOWN */
  async show(reference: DeadLetterReference): Promise<DeadLetterCopy> {
    const letter = await this.#find(reference)
    const { rows } = await this.#client.query<Pick<DeadLetterCopy, 'headers' | 'payload'>>(
      'select headers, payload from outbox.dead_letters where number = $1',
      [letter.number],
    )
    return { ...letter, headers: rows[0]?.headers ?? null, payload: rows[0]?.payload ?? null }
  }

  /**
   * Asks the relay to publish dead letters again; those parked behind one follow in order, up to the next that is refused.
   *
   * @throws OutboxError RELAY_DEAD_LETTER_UNKNOWN, RELAY_DEAD_LETTER_SETTLED, RELAY_DEAD_LETTER_PARKED; then none is asked for
   */
  async requeue(references: readonly DeadLetterReference[]): Promise<RequestedDeadLetters> {
    const letters = await this.#findOpen(references)
    for (const letter of letters)
      if (letter.state === 'parked') throw parked(letter, await this.#headOf(letter))
    return await this.#request(
      'requeue',
      letters.map(({ number }) => number),
    )
  }

  /** As {@link requeue}, for all dead letters of a topic; when it throws, those in front may have been asked for. */
  async requeueTopic(topic: string): Promise<RequestedDeadLetters> {
    const requested: number[] = []
    for (let after = 0; ;) {
      const { rows } = await this.#client.query<{ number: number }>(
        `select l.number::float8 as number
           from outbox.dead_letters l join outbox.dead_letter_status s on s.number = l.number
          where l.topic = $1 and s.state = 'dead' and l.number > $2
          order by l.number limit $3`,
        [topic, after, lettersOfRequestMax],
      )
      const numbers = rows.map(({ number }) => number)
      await this.#request('requeue', numbers)
      requested.push(...numbers)
      const last = numbers.at(-1)
      if (last === undefined || numbers.length < lettersOfRequestMax) return { requested }
      after = last
    }
  }

  /**
   * Asks the relay to drop dead letters for good: their events are never published. Those parked behind one follow.
   *
   * @throws OutboxError RELAY_DEAD_LETTER_UNKNOWN, RELAY_DEAD_LETTER_SETTLED; then none is asked for
   */
  async discard(references: readonly DeadLetterReference[]): Promise<RequestedDeadLetters> {
    const letters = await this.#findOpen(references)
    return await this.#request(
      'discard',
      letters.map(({ number }) => number),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end()
  }

  async #find(reference: DeadLetterReference): Promise<DeadLetter> {
    const byNumber = typeof reference === 'number' || /^\d{1,15}$/.test(reference)
    if (!byNumber && !uuidForm.test(reference)) throw unknown(reference)
    const { rows } = await this.#client.query<DeadLetter>(
      `${selectLetters} where ${byNumber ? 'l.number = $1::bigint' : 'l.id = $1::uuid'} order by l.number desc limit 1`,
      [reference],
    )
    const [letter] = rows
    if (letter === undefined) throw unknown(reference)
    return letter
  }

  async #findOpen(references: readonly DeadLetterReference[]): Promise<readonly DeadLetter[]> {
    const letters: DeadLetter[] = []
    for (const reference of references) {
      const letter = await this.#find(reference)
      if (!openStates.includes(letter.state)) throw settled(letter)
      letters.push(letter)
    }
    return letters
  }

  /** The letter that the others of its key wait for. */
  async #headOf({ number }: DeadLetter): Promise<number> {
    const { rows } = await this.#client.query<{ number: number }>(
      `select min(l.number)::float8 as number
         from outbox.dead_letters l join outbox.dead_letter_status s using (number)
        where l.queue = (select queue from outbox.dead_letters where number = $1)
          and s.state not in ('published', 'discarded')`,
      [number],
    )
    return rows[0]?.number ?? number
  }

  async #request(action: 'requeue' | 'discard', requested: readonly number[]): Promise<RequestedDeadLetters> {
    if (requested.length > 0)
      await this.#client.query('select outbox.request_dead_letters($1, $2::bigint[])', [action, requested])
    return { requested }
  }
}

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const instant = (field: string): string =>
  `case when isfinite(${field}) then to_char(${field} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') else ${field}::text end`

const selectLetters = `
select l.number::float8 as number, s.state, l.id, l.seq::text as seq, l.source, l.topic, l.type, l.key, l.partition,
       ${instant('l.occurred_at')} as "occurredAt", ${instant('l.at')} as "setAsideAt",
       s.code, s.reason, octet_length(l.payload) as "payloadBytes"
  from outbox.dead_letters l join outbox.dead_letter_status s on s.number = l.number`

const unknown = (reference: DeadLetterReference): OutboxError =>
  new OutboxError('RELAY_DEAD_LETTER_UNKNOWN', `there is no dead letter ${JSON.stringify(reference)}`, {
    details: { reference },
  })

const settled = ({ number, state }: DeadLetter): OutboxError =>
  new OutboxError('RELAY_DEAD_LETTER_SETTLED', `dead letter ${number} is ${state}`, {
    details: { number, state },
  })

const parked = ({ number }: DeadLetter, head: number): OutboxError =>
  new OutboxError('RELAY_DEAD_LETTER_PARKED', `dead letter ${number} waits for ${head}, which has its key`, {
    details: { number, head },
  })
