import type { Client } from 'pg'
import { bounded } from '../database-connections.js'
import { copyOut } from '../reading/copy-out.js'
import { CopyRows } from '../reading/copy-rows.js'
import { columns, rowOverheadBytes } from '../reading/read-window.js'

/** A letter that has not ended, as a shard has to know it when it is opened. */
export interface OpenLetter {
  readonly number: number
  readonly queue: string
  readonly topic: string
  readonly key: Buffer | null
  readonly parksKey: boolean
  /** It was refused, and waits for a person. */
  readonly refused: boolean
}

/** What a person has asked for. */
export interface LetterAction {
  readonly number: number
  readonly action: 'requeue' | 'discard'
  readonly letter: number
  readonly queue: string
  readonly topic: string
}

/** A letter whose turn it is. */
export interface DueLetter {
  readonly number: number
  readonly queue: string
  readonly topic: string
  /** The newest action of it; 0 for none. */
  readonly action: number
}

/** Where a queue stands after a turn. */
export interface QueueState {
  readonly queue: string
  readonly topic: string
  readonly key: Buffer | null
  readonly parksKey: boolean
  /** `empty`: its key is free. `refused`: its first letter waits for a person. `due`: it goes on. */
  readonly state: 'empty' | 'refused' | 'due'
}

/** A queue, and the letter up to which it is known to have ended. */
export type Queues = ReadonlyMap<string, number>

const readTimeoutMs = 300_000

const hasEnded = `exists (select from outbox.dead_letter_results ended where ended.letter = l.number and ended.outcome <> 'failed')`
const hasFailed = `exists (select from outbox.dead_letter_results failed where failed.letter = l.number and failed.outcome = 'failed')`
// The newest action, unless the letter was tried again since: a letter that was refused is due again only with one.
const newestAction = `coalesce((select max(a.number) from outbox.dead_letter_actions a where a.letter = l.number), 0)`
const triedAction = `coalesce((select max(f.action) from outbox.dead_letter_results f where f.letter = l.number and f.outcome = 'failed'), 0)`
const isRefused = `((l.state = 'dead' or ${hasFailed}) and ${newestAction} <= ${triedAction})`

// Primary key; the anti-join looks into the index of ends.
const openLetters = (condition: string): string => `
select l.number::float8 as number, encode(l.queue, 'hex') as queue, l.topic, convert_to(l.key, 'UTF8') as key, l.parks_key as "parksKey",
       l.state = 'dead' or ${hasFailed} as refused
  from outbox.dead_letters l
 where l.number > $1 and not ${hasEnded}${condition}
 order by l.number limit $2`

// Numbers of actions rise in the order of their commits (outbox.request_dead_letters).
const newActions = (condition: string): string => `
select a.number::float8 as number, a.action, a.letter::float8 as letter, encode(l.queue, 'hex') as queue, l.topic
  from outbox.dead_letter_actions a
  join outbox.dead_letters l on l.number = a.letter
 where a.number > $1 and a.number <= $2 and not ${hasEnded}
   and (a.action = 'discard' or a.number > ${triedAction}) and ($4::text is null or l.topic = $4)${condition}
 order by a.number limit $3`

// The letters of each queue up to the first that waits for a person. Index dead_letters_queue, from the floor on.
const dueLetters = `
select d.number::float8 as number, encode(d.queue, 'hex') as queue, d.topic, d.action::float8 as action
  from (select d.*, sum(d.bytes) over (order by d.number rows between unbounded preceding and 1 preceding) as bytes_before
          from (select due.*
                  from unnest($1::text[], $2::bigint[]) as w(queue, floor)
                 cross join lateral (
                   select o.*, bool_or(o.refused) over (order by o.number) as stuck
                     from (select l.number, l.queue, l.topic, coalesce(octet_length(l.payload), 0) + ${rowOverheadBytes} as bytes,
                                  ${newestAction} as action, ${isRefused} as refused
                             from outbox.dead_letters l
                            where l.queue = decode(w.queue, 'hex') and l.number > w.floor and not ${hasEnded}
                            order by l.number limit $3) o) due
                 where not due.stuck
                 order by due.number limit $3) d) d
 where coalesce(d.bytes_before, 0) < $4
 order by d.number`

const queueStates = `
select w.queue, l.topic, convert_to(l.key, 'UTF8') as key, l.parks_key as "parksKey",
       case when head.number is null then 'empty' when head.refused then 'refused' else 'due' end as state
  from unnest($1::text[], $2::bigint[]) as w(queue, floor)
 cross join lateral (select l.topic, l.key, l.parks_key from outbox.dead_letters l
                      where l.queue = decode(w.queue, 'hex') order by l.number limit 1) l
  left join lateral (select l.number, ${isRefused} as refused from outbox.dead_letters l
                      where l.queue = decode(w.queue, 'hex') and l.number > w.floor and not ${hasEnded}
                      order by l.number limit 1) head on true`

/** Reads dead letters for the relay of one shard. Takes no lock, writes nothing. */
export class LetterReads {
  readonly #client: Client
  readonly #condition: string

  /** @param condition Which letters are the shard's own, as SQL; empty for all. */
  constructor(client: Client, condition: string) {
    this.#client = client
    this.#condition = condition === '' ? '' : ` and ${condition}`
  }

  /** Sequence number of the newest event that was ever set aside: none above it has a letter. */
  async newestSeq(): Promise<bigint> {
    const [row] = await this.#rows<{ seq: string | null }>('select max(seq) as seq from outbox.dead_letters')
    return BigInt(row?.seq ?? 0)
  }

  /** Which of these events have a letter. */
  async withLetter(seqs: readonly bigint[]): Promise<ReadonlySet<bigint>> {
    const rows = await this.#rows<{ seq: string }>(
      'select seq from outbox.dead_letters where seq = any ($1::bigint[])',
      [seqs],
    )
    return new Set(rows.map(({ seq }) => BigInt(seq)))
  }

  /** Letters that have not ended, in order, behind a number. */
  async openLetters(after: number, limit: number): Promise<readonly OpenLetter[]> {
    return await this.#rows<OpenLetter>(openLetters(this.#condition), [after, limit])
  }

  async newestAction(): Promise<number> {
    const [row] = await this.#rows<{ number: number | null }>(
      'select max(number)::float8 as number from outbox.dead_letter_actions',
    )
    return row?.number ?? 0
  }

  /** Actions that are not done, on letters of this shard, numbered from `after` (exclusive) to `upTo`; of one topic, or of all. */
  async actions(
    after: number,
    upTo: number,
    limit: number,
    topic?: string,
  ): Promise<readonly LetterAction[]> {
    return await this.#rows<LetterAction>(newActions(this.#condition), [after, upTo, limit, topic])
  }

  /** Of these queues, the letters whose turn it is, in order; bounded by letters and by bytes, the first always passes. */
  async due(queues: Queues, lettersMax: number, bytesMax: number): Promise<readonly DueLetter[]> {
    return await this.#rows<DueLetter>(dueLetters, [
      [...queues.keys()],
      [...queues.values()],
      lettersMax,
      bytesMax,
    ])
  }

  async states(queues: Queues): Promise<readonly QueueState[]> {
    return await this.#rows<QueueState>(queueStates, [[...queues.keys()], [...queues.values()]])
  }

  /** The copies of events as a page of the outbox has them, with the letter's number in the place of `seq`. */
  async copies(numbers: readonly number[]): Promise<CopyRows> {
    const fields = columns.map((name) => copied[name] ?? `l.${name}`)
    const sql = `copy (select ${fields.join(', ')} from outbox.dead_letters l
      where l.number = any ('{${numbers.join(',')}}'::bigint[]) order by l.number) to stdout (format binary)`
    const bytes = await bounded(this.#client, readTimeoutMs, async () => await copyOut(this.#client, sql))
    return new CopyRows(bytes, columns.length)
  }

  async #rows<Row extends object>(sql: string, parameters: readonly unknown[] = []): Promise<readonly Row[]> {
    return await bounded(
      this.#client,
      readTimeoutMs,
      async () => (await this.#client.query<Row>(sql, [...parameters])).rows,
    )
  }
}

const copied: Partial<Record<(typeof columns)[number], string>> = {
  seq: 'l.number',
  headers: 'l.headers::text',
}
