import type { Client, ClientConfig } from 'pg'
import { OutboxError } from '@oncebox/core'
import { connectClient } from '../database-connections.js'
import { checkServer } from '../opening/database-state.js'
import { parseShardMap } from '../sharing/shard-map.js'
import { selects, type ReplaySelection } from './replay-selection.js'

/** What a replay would publish again, as far as the outbox still has it. */
export interface ReplayPlan {
  readonly topics: readonly {
    readonly topic: string
    readonly events: number
    readonly oldest: string
    readonly newest: string
  }[]
  readonly events: number
  /** Ids that were asked for, and are not in the outbox: their slot was emptied, or there never was such an event. */
  readonly missing: readonly string[]
  /** When the oldest event occurred that the outbox still has; null when it has none. */
  readonly retainedSince: string | null
}

/** How far a request is. */
export interface ReplayState {
  readonly number: number
  readonly toTopic: string | null
  readonly shards: readonly { readonly shard: number; readonly stage: 'waiting' | 'begun' | 'done' }[]
  /** Published again. */
  readonly events: number
  /** Their topic cannot take them any more. */
  readonly refused: number
  /**
   * `cancelled`: somebody has called it off before it was done. `interrupted`: the shards were cut anew before that. Either way
   * the rest is not published again.
   */
  readonly state: 'running' | 'done' | 'cancelled' | 'interrupted'
}

const statementTimeoutMs = 300_000
const idForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** What a person can ask for, and see, of replays. The relays of the shards do it, beside what is new. */
export class ReplayDesk implements AsyncDisposable {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  /** @throws OutboxError OUTBOX_SCHEMA_MISSING, RELAY_STANDBY_REFUSED; a driver error */
  static async open(db: ClientConfig): Promise<ReplayDesk> {
    const client = await connectClient(db, 'oncebox replay')
    try {
      await checkServer(client)
      await client.query(`set statement_timeout = ${statementTimeoutMs}`)
      return new ReplayDesk(client)
    } catch (error) {
      await client.end().catch(() => undefined)
      throw error
    }
  }

  /** @throws OutboxError RELAY_OPTIONS_INVALID */
  async plan(selection: ReplaySelection): Promise<ReplayPlan> {
    refuseUnusable(selection)
    const { rows: topics } = await this.#client.query<ReplayPlan['topics'][number]>(
      `select e.topic, count(*)::float8 as events, ${instant('min(e.occurred_at)')} as oldest, ${instant('max(e.occurred_at)')} as newest
         from outbox.events e where ${selects(selection)} group by e.topic order by e.topic`,
    )
    const { rows: found } = await this.#client.query<{ missing: readonly string[]; retained: string | null }>(
      `select array(select id::text from unnest($1::uuid[]) as a(id)
                     where not exists (select from outbox.events e where e.id = a.id)) as missing,
              (select ${instant('min(e.occurred_at)')} from outbox.events e) as retained`,
      [selection.ids ?? []],
    )
    return {
      topics,
      events: topics.reduce((sum, { events }) => sum + events, 0),
      missing: found[0]?.missing ?? [],
      retainedSince: found[0]?.retained ?? null,
    }
  }

  /** @returns The number of the request. @throws OutboxError RELAY_OPTIONS_INVALID */
  async request(selection: ReplaySelection, toTopic?: string): Promise<number> {
    refuseUnusable(selection)
    const { topics, keys, ids, since, until } = selection
    const { rows } = await this.#client.query<{ number: number }>(
      'select outbox.request_replay($1, $2, $3::uuid[], $4, $5, $6)::float8 as number',
      [topics, keys, ids, since, until, toTopic],
    )
    return rows[0]?.number ?? Number.NaN
  }

  /**
   * Calls a request off: of what is not published yet, each shard publishes one batch at most. One that is done stays so.
   * @throws OutboxError RELAY_REPLAY_UNKNOWN
   */
  async cancel(number: number): Promise<void> {
    const { rows } = await this.#client.query<{ found: boolean }>(
      'select outbox.cancel_replay($1::bigint) as found',
      [number],
    )
    if (rows[0]?.found !== true) throw unknown(number)
  }

  /** @throws OutboxError RELAY_REPLAY_UNKNOWN */
  async state(number: number): Promise<ReplayState> {
    const { rows } = await this.#client.query<StateRow>(selectState, [number])
    const [row] = rows
    if (row === undefined) throw unknown(number)
    const stages = new Map(row.steps.map(({ shard, done }) => [shard, done ? 'done' : 'begun'] as const))
    const shards = parseShardMap(row.generation, row.map).shards.map(({ shard }) => ({
      shard,
      stage: stages.get(shard) ?? ('waiting' as const),
    }))
    return {
      number,
      toTopic: row.to_topic,
      shards,
      events: row.events,
      refused: row.refused,
      state: stateOf(row, shards),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end()
  }
}

interface StateRow {
  readonly to_topic: string | null
  readonly generation: number
  readonly map: unknown
  readonly newest: number
  readonly cancelled: boolean
  readonly events: number
  readonly refused: number
  readonly steps: readonly { readonly shard: number; readonly done: boolean }[]
}

const selectState = `
select r.to_topic, r.generation, m.map, (select max(generation) from outbox.shard_map) as newest,
       exists (select from outbox.replay_cancellations c where c.replay = r.number) as cancelled,
       coalesce(s.events, 0)::float8 as events, coalesce(s.refused, 0)::float8 as refused, coalesce(s.steps, '[]') as steps
  from outbox.replays r
  join outbox.shard_map m on m.generation = r.generation
  left join lateral (
    select sum(of_shard.events) as events, sum(of_shard.refused) as refused,
           json_agg(json_build_object('shard', of_shard.shard, 'done', of_shard.done)) as steps
      from (select s.shard, sum(s.events) as events, sum(s.refused) as refused, bool_or(s.stage = 'done') as done
              from outbox.replay_steps s where s.replay = r.number group by s.shard) of_shard) s on true
 where r.number = $1`

function stateOf(
  { cancelled, newest, generation }: StateRow,
  shards: ReplayState['shards'],
): ReplayState['state'] {
  if (shards.every(({ stage }) => stage === 'done')) return 'done'
  if (cancelled) return 'cancelled'
  return newest > generation ? 'interrupted' : 'running'
}

const unknown = (number: number): OutboxError =>
  new OutboxError('RELAY_REPLAY_UNKNOWN', `there is no replay ${number}`, { details: { number } })

const instant = (field: string): string =>
  `case when isfinite(${field}) then to_char(${field} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') else ${field}::text end`

function refuseUnusable({ topics, keys, ids, since, until }: ReplaySelection): void {
  const refuse = (why: string): never => {
    throw new OutboxError('RELAY_OPTIONS_INVALID', why)
  }
  if ([topics, keys, ids, since, until].every((given) => given === undefined))
    refuse('nothing is selected: name topics, keys, ids or a time')
  if ([topics, keys, ids].some((list) => list?.length === 0)) refuse('an empty list selects nothing')
  const strange = ids?.find((id) => !idForm.test(id))
  if (strange !== undefined) refuse(`${JSON.stringify(strange)} is not the id of an event`)
  if ([since, until].some((time) => time !== undefined && Number.isNaN(time.getTime())))
    refuse('a time is not valid')
}
