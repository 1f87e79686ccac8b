import type { Client } from 'pg'
import { OutboxError } from '@oncebox/core'
import { bounded } from '../database-connections.js'
import { removed } from '../opening/database-state.js'
import { parseShardMap, type ShardMap } from './shard-map.js'
import type { SharingView } from './share-shards.js'

export interface MembershipOptions {
  readonly relay: string
  /** Names this run of the relay in this process. */
  readonly holder: string
  /** How long others wait for a heartbeat before they take the shards. */
  readonly leaseMs: number
}

/** What a heartbeat comes back with. */
export interface Sharing extends SharingView {
  readonly map: ShardMap
  /** Whether all shards of the map have a beginning: not while a reshard closes those of the one before, or adopt runs. */
  readonly begun: boolean
  /** Shards whose last holder has not given them back and is not alive: whoever claims them takes them over. */
  readonly orphans: ReadonlySet<number>
  /** The epoch under which each shard was last claimed; 0 for never. Whoever claims it names what he has seen. */
  readonly epochs: ReadonlyMap<number, number>
}

interface SharingRow {
  readonly standby: boolean
  readonly generation: number
  readonly map: unknown
  readonly begun: boolean
  readonly removed: boolean
  readonly members: readonly string[]
  readonly claims: readonly { readonly shard: number; readonly epoch: number; readonly holder: string }[]
}

const insertHeartbeat = `
insert into outbox.heartbeats (relay, holder, lease_ms, leaving) values ($1, $2, $3, $4)`

// The newest heartbeat of a process counts, by the database's clock; one from the future is as good as one of now. Old
// ones are not looked at: index heartbeats_at. The newest claim of a shard: primary key,
// backwards; one of an older shard map is of nobody.
const readSharing = `
with newest as (
  select distinct on (holder) holder, lease_ms, leaving, at
    from outbox.heartbeats
   where at > clock_timestamp() - interval '1 day'
   order by holder, at desc
), members as (
  select holder from newest
   where not leaving and at + lease_ms * interval '1 ms' > clock_timestamp()
), map as (
  select generation, map from outbox.shard_map order by generation desc limit 1
)
select pg_is_in_recovery() as standby, map.generation, map.map,
       map.generation = 1 or not exists (
         select from jsonb_to_recordset(map.map -> 'shards') as s(shard smallint)
          where not exists (select from outbox.initialised i
                             where i.shard = s.shard and i.generation = map.generation)
            and (map.map -> 'adoption' = 'true'
                 or not exists (select from outbox.windows w
                                 where w.shard = s.shard and w.generation = map.generation and w.window_number = 0))) as begun,
       exists (select from outbox.removals where relay = $1) as removed,
       (select coalesce(json_agg(holder order by holder), '[]') from members) as members,
       (select coalesce(json_agg(json_build_object('shard', s.shard, 'epoch', c.epoch,
                 'holder', case when r.epoch is null and c.generation = map.generation then c.holder else '' end) order by s.shard), '[]')
          from jsonb_to_recordset(map.map -> 'shards') as s(shard smallint)
          cross join lateral (select epoch, generation, holder from outbox.claims
                               where shard = s.shard order by epoch desc limit 1) c
          left join outbox.releases r on r.shard = s.shard and r.epoch = c.epoch) as claims
  from map`

const beatTimeoutMs = 10_000

/**
 * A relay process among those that share an outbox: it says that it is alive, and learns who else is and who holds
 * which shard. All by the database's clock, in plain transactions, so it works through a pooler.
 */
export class Membership {
  readonly #client: Client
  readonly #options: MembershipOptions
  /** Heartbeats and releases take turns on the connection. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(client: Client, options: MembershipOptions) {
    this.#client = client
    this.#options = options
  }

  /**
   * One heartbeat.
   * @throws OutboxError RELAY_STANDBY_REFUSED, RELAY_REMOVED, RELAY_SHARD_MAP_INVALID, OUTBOX_SCHEMA_MISSING; a driver error
   */
  async beat(): Promise<Sharing> {
    return await this.#inTurn(async () => {
      await this.#insert(false)
      return await this.#look()
    })
  }

  /** Looks, and says nothing of itself. */
  async look(): Promise<Sharing> {
    return await this.#inTurn(() => this.#look())
  }

  /** Gives a shard back: nobody has to wait for the lease to end. */
  async release(shard: number, epoch: number): Promise<void> {
    await this.#inTurn(async () => {
      await this.#client.query(
        'insert into outbox.releases (shard, epoch) values ($1, $2) on conflict do nothing',
        [shard, epoch],
      )
    })
  }

  /** Says that this process wants no shards any more. */
  async leave(): Promise<void> {
    await this.#inTurn(() => this.#insert(true))
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(async () => await bounded(this.#client, beatTimeoutMs, work))
    this.#turn = turn.catch(() => undefined)
    return await turn
  }

  async #look(): Promise<Sharing> {
    const { rows } = await this.#client.query<SharingRow>(readSharing, [this.#options.relay])
    const [row] = rows
    if (row === undefined)
      throw new OutboxError('OUTBOX_SCHEMA_MISSING', 'outbox.shard_map is empty: the schema is damaged')
    if (row.standby)
      throw new OutboxError('RELAY_STANDBY_REFUSED', 'the database is a standby (pg_is_in_recovery)')
    if (row.removed) throw removed(this.#options.relay)
    return this.#read(row)
  }

  async #insert(leaving: boolean): Promise<void> {
    const { relay, holder, leaseMs } = this.#options
    await this.#client.query(insertHeartbeat, [relay, holder, leaseMs, leaving])
  }

  #read({ generation, map: value, begun, members, claims }: SharingRow): Sharing {
    const map = parseShardMap(generation, value)
    const alive = new Set(members)
    const byShard = new Map(claims.map((claim) => [claim.shard, claim]))
    const shards = map.shards
      .map(({ shard }) => ({ shard, holder: byShard.get(shard)?.holder }))
      .map(({ shard, holder }) => ({
        shard,
        holder: holder !== undefined && alive.has(holder) ? holder : undefined,
      }))
      .sort((a, b) => a.shard - b.shard)
    const orphans = new Set(
      claims.filter(({ holder }) => holder !== '' && !alive.has(holder)).map(({ shard }) => shard),
    )
    const epochs = new Map(map.shards.map(({ shard }) => [shard, byShard.get(shard)?.epoch ?? 0]))
    return { map, begun, members, shards, orphans, epochs }
  }
}
