import pg, { type Client } from 'pg'
import { OutboxError } from '@oncebox/core'
import { bounded } from '../database-connections.js'
import type { LetterWriter } from '../dead-letters/letter-writes.js'
import type { ReplayedUpTo } from '../position.js'
import { copyOut } from '../reading/copy-out.js'
import { CopyRows } from '../reading/copy-rows.js'
import { columns, readSettings, rowOverheadBytes } from '../reading/read-window.js'
import { parseSnapshot, type Snapshot } from '../reading/snapshot.js'
import { selects, type ReplaySelection } from './replay-selection.js'

/** A request of a person, as far as the shard is with it. */
export interface Replay {
  readonly number: number
  readonly selection: ReplaySelection
  readonly toTopic: string | undefined
  /** Shows what the shard had published when it took the request up; undefined until then. */
  readonly published: Snapshot | undefined
  /** The last sequence number that is looked at. */
  readonly lastSeq: bigint
  /** Everything up to this one is done. */
  readonly after: bigint
}

export interface BegunReplay extends Replay {
  readonly published: Snapshot
}

export interface ReplayPage {
  readonly rows: CopyRows
  /** When the page is not cut short by its bounds, everything up to here is in it. */
  readonly upTo: bigint
}

interface ReplayRow {
  readonly number: number
  readonly topics: readonly string[] | null
  readonly keys: readonly string[] | null
  readonly ids: readonly string[] | null
  readonly since: Date | null
  readonly until: Date | null
  readonly to_topic: string | null
  readonly published: string | null
  readonly last_seq: string | null
  readonly after: string | null
}

const readTimeoutMs = 300_000
// What can hold a write up is the disk, a synchronous standby, or a claim of the same shard.
const writeTimeoutMs = 60_000
/** Sequence numbers that one look covers, so that a search for few events holds nobody up. */
const seqsOfLook = 20_000n

const nextReplay = `
select r.number::float8 as number, r.topics, r.keys, r.ids::text[] as ids, r.since, r.until, r.to_topic,
       b.to_snapshot::text as published, b.seq as last_seq,
       (select max(s.seq) from outbox.replay_steps s where s.replay = r.number and s.shard = $2 and s.stage = 'published') as after
  from outbox.replays r
  left join outbox.replay_steps b on b.replay = r.number and b.shard = $2 and b.stage = 'begun'
 where r.generation = $1 and r.number > $3
   and not exists (select from outbox.replay_cancellations c where c.replay = r.number)
   and not exists (select from outbox.replay_steps d where d.replay = r.number and d.shard = $2 and d.stage = 'done')
 order by r.number limit 1`

/** What the relay of one shard reads and writes of replays. Writes are as those of letters: one function, one message. */
export class ReplayStore {
  readonly #client: Client
  readonly #writer: LetterWriter
  readonly #condition: string
  /** Requests up to this one are done, or called off: numbers rise in the order of their commits (outbox.request_replay). */
  #doneUpTo = 0

  /** @param condition Which events are the shard's own, as SQL; empty for all. */
  constructor(client: Client, writer: LetterWriter, condition: string) {
    this.#client = client
    this.#writer = writer
    this.#condition = condition === '' ? '' : ` and ${condition}`
  }

  /** The oldest request that the shard has not done, and that nobody has called off. */
  async next(generation: number): Promise<Replay | undefined> {
    const { rows } = await bounded(
      this.#client,
      readTimeoutMs,
      async () =>
        await this.#client.query<ReplayRow>(nextReplay, [generation, this.#writer.shard, this.#doneUpTo]),
    )
    const [row] = rows
    return row === undefined ? undefined : replayOf(row)
  }

  async isCancelled({ number }: Replay): Promise<boolean> {
    const { rowCount } = await bounded(
      this.#client,
      readTimeoutMs,
      async () =>
        await this.#client.query('select from outbox.replay_cancellations where replay = $1', [number]),
    )
    return rowCount !== 0
  }

  /** The request is taken up: it is about what this snapshot shows. */
  async begin(replay: Replay, published: Snapshot): Promise<BegunReplay> {
    const { rows } = await bounded(
      this.#client,
      readTimeoutMs,
      async () =>
        await this.#client.query<{ seq: string | null }>('select max(seq) as seq from outbox.events'),
    )
    const lastSeq = BigInt(rows[0]?.seq ?? 0)
    await this.#note(replay.number, { stage: 'begun', seq: lastSeq, shown: published })
    return { ...replay, published, lastSeq }
  }

  async published({ number, seq, events, refused }: ReplayedUpTo): Promise<void> {
    await this.#note(number, { stage: 'published', seq, events, refused })
  }

  async done({ number, lastSeq }: Replay): Promise<void> {
    await this.#note(number, { stage: 'done', seq: lastSeq })
    this.#doneUpTo = number
  }

  /** The next events, in the order of their numbers. */
  async page(replay: BegunReplay, rowsMax: number, bytesMax: number): Promise<ReplayPage> {
    return await bounded(this.#client, readTimeoutMs, async () => {
      await this.#client.query(`begin isolation level read committed read only; ${readSettings(true)}`)
      try {
        const first = await this.#firstBehind(replay)
        const reach = first + seqsOfLook
        const upTo = reach < replay.lastSeq ? reach : replay.lastSeq
        const sql = readPage({ ...replay, upTo, rowsMax, bytesMax, own: this.#condition })
        return { rows: new CopyRows(await copyOut(this.#client, sql), columns.length), upTo }
      } finally {
        await this.#client.query('commit')
      }
    })
  }

  /** Numbers that are not there any more are passed over at once. */
  async #firstBehind({ after, lastSeq }: BegunReplay): Promise<bigint> {
    const { rows } = await this.#client.query<{ seq: string | null }>(
      'select seq from outbox.events where seq > $1 order by events.seq limit 1',
      [String(after)],
    )
    return BigInt(rows[0]?.seq ?? lastSeq)
  }

  async #note(replay: number, { stage, seq, shown, events = 0, refused = 0 }: Step): Promise<void> {
    const { shard, epoch, lifeToken } = this.#writer
    const snapshot = shown === undefined ? 'null' : `'${shown.text}'`
    const { rows } = await bounded(
      this.#client,
      writeTimeoutMs,
      async () =>
        await this.#client.query<{ answer: string }>(
          `select outbox.note_replay(${shard}::smallint, ${epoch}, '${lifeToken}', ${replay}, '${stage}', ${seq}, ${snapshot}, ${events}, ${refused}) as answer`,
        ),
    )
    const answer = rows[0]?.answer
    if (answer === 'holds') return
    if (answer === 'fenced')
      throw new OutboxError('RELAY_FENCED', `shard ${shard} has a new holder`, { details: { shard, epoch } })
    throw new OutboxError('RELAY_LIFE_ENDED', 'a replay was refused: the life token is gone', {
      details: { shard },
    })
  }
}

interface Step {
  readonly stage: 'begun' | 'published' | 'done'
  readonly seq: bigint
  readonly shown?: Snapshot
  readonly events?: number
  readonly refused?: number
}

const replayOf = (row: ReplayRow): Replay => ({
  number: row.number,
  selection: {
    topics: row.topics ?? undefined,
    keys: row.keys ?? undefined,
    ids: row.ids ?? undefined,
    since: row.since ?? undefined,
    until: row.until ?? undefined,
  },
  toTopic: row.to_topic ?? undefined,
  published: row.published === null ? undefined : parseSnapshot(row.published),
  lastSeq: BigInt(row.last_seq ?? 0),
  after: BigInt(row.after ?? 0),
})

interface PageOfReplay extends BegunReplay {
  readonly upTo: bigint
  readonly rowsMax: number
  readonly bytesMax: number
  readonly own: string
}

// In another topic, partitions are others: keys find theirs, and what has none is spread.
function readPage({
  after,
  upTo,
  published,
  selection,
  toTopic,
  own,
  rowsMax,
  bytesMax,
}: PageOfReplay): string {
  const { text } = published
  const replaced: Partial<Record<(typeof columns)[number], string>> =
    toTopic === undefined ? {} : { topic: `${pg.escapeLiteral(toTopic)}::text`, partition: 'null::integer' }
  const fields = columns.map(
    (name) => replaced[name] ?? (name === 'headers' ? 'p.headers::text' : `p.${name}`),
  )
  return `copy (
  select ${fields.join(', ')}
    from (select e.*, sum(coalesce(octet_length(e.payload), 0) + ${rowOverheadBytes}) over (order by e.seq rows between unbounded preceding and 1 preceding) as bytes_before
            from (select ${columns.join(', ')} from outbox.events e
                   where e.seq > ${after} and e.seq <= ${upTo} and pg_visible_in_snapshot(e.txid, '${text}') and ${selects(selection)}${own}
                   order by e.seq limit ${rowsMax}) e) p
   where coalesce(p.bytes_before, 0) < ${bytesMax}
   order by p.seq
) to stdout (format binary)`
}
