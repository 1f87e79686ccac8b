import pg, { type Client } from 'pg'
import { OutboxError } from '@oncebox/core'
import { bounded } from '../database-connections.js'
import type { Refusal, SetAside } from '../publishing/exceptions.js'

/** For whom letters are written: a shard under an epoch, in one life of the database server. */
export interface LetterWriter {
  readonly shard: number
  readonly epoch: number
  readonly lifeToken: string
}

/** What became of a letter. `failed`: it was tried again, and refused again. */
export type LetterOutcome = 'published' | 'discarded' | 'failed'

export interface SettledLetter {
  readonly number: number
  /** The newest action that was looked at; 0 for none. */
  readonly action: number
  /** Why it failed. */
  readonly refusal?: Refusal
}

// What can hold a write up is the disk, a synchronous standby, or a claim of the same shard.
const writeTimeoutMs = 60_000
/** Of one call: a letter takes some hundred bytes of SQL. */
const lettersMax = 5_000

/**
 * Writes dead letters and what becomes of them. Each call is one function that looks at the epoch under a lock, sent as
 * one message of the simple protocol: a process that is stopped while it sends cannot leave a transaction behind that
 * holds the lock, which would hold up whoever takes the shard over.
 */
export class LetterWrites {
  readonly #client: Client
  readonly #writer: LetterWriter

  constructor(client: Client, writer: LetterWriter) {
    this.#client = client
    this.#writer = writer
  }

  /**
   * Copies events to the dead letters, in this order. An event that has a letter keeps it.
   * @throws OutboxError RELAY_FENCED, RELAY_LIFE_ENDED; a driver error
   */
  async setAside(events: readonly SetAside[]): Promise<void> {
    for (let at = 0; at < events.length; at += lettersMax) {
      const part = events.slice(at, at + lettersMax)
      await this.#call(
        `outbox.set_aside(${this.#holder}, ${integers(part.map(({ seq }) => seq))},
           '{${part.map(({ id }) => id).join(',')}}'::uuid[], '{${part.map(({ parksKey }) => parksKey).join(',')}}'::boolean[],
           ${texts(part.map(({ refusal }) => refusal?.code))}, ${texts(part.map(({ refusal }) => refusal?.reason))})`,
      )
    }
  }

  /**
   * Records what became of letters. One that was published or discarded stays so.
   * @throws OutboxError RELAY_FENCED, RELAY_LIFE_ENDED; a driver error
   */
  async settle(outcome: LetterOutcome, letters: readonly SettledLetter[]): Promise<void> {
    for (let at = 0; at < letters.length; at += lettersMax) {
      const part = letters.slice(at, at + lettersMax)
      await this.#call(
        `outbox.settle_dead_letters(${this.#holder}, '${outcome}', ${integers(part.map(({ number }) => number))},
           ${integers(part.map(({ action }) => action))},
           ${texts(part.map(({ refusal }) => refusal?.code))}, ${texts(part.map(({ refusal }) => refusal?.reason))})`,
      )
    }
  }

  get #holder(): string {
    const { shard, epoch, lifeToken } = this.#writer
    return `${shard}::smallint, ${epoch}, '${lifeToken}'`
  }

  async #call(call: string): Promise<void> {
    const { rows } = await bounded(
      this.#client,
      writeTimeoutMs,
      async () => await this.#client.query<{ answer: string }>(`select ${call} as answer`),
    )
    const answer = rows[0]?.answer
    if (answer === 'holds') return
    const { shard, epoch } = this.#writer
    if (answer === 'fenced')
      throw new OutboxError('RELAY_FENCED', `shard ${shard} has a new holder`, { details: { shard, epoch } })
    throw new OutboxError('RELAY_LIFE_ENDED', 'a dead letter was refused: the life token is gone', {
      details: { shard },
    })
  }
}

const integers = (values: readonly (bigint | number)[]): string => `'{${values.join(',')}}'::bigint[]`

const texts = (values: readonly (string | undefined)[]): string =>
  `array[${values.map((value) => (value === undefined ? 'null' : pg.escapeLiteral(value))).join(',')}]::text[]`
