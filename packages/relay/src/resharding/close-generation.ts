import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import { faultPoint, invariant, OutboxError } from '@oncebox/core'
import { connectKafka, type KafkaClient } from '@oncebox/kafka'
import { connectDatabase, type DatabaseConnections } from '../database-connections.js'
import { readDatabaseState } from '../opening/database-state.js'
import { openShard, positionRecord, type OpenShard } from '../opening/open-shard.js'
import type { ResolvedRelayOptions } from '../options.js'
import { positionBehind } from '../position.js'
import { publishShard, type OpenReader, type PublishObserver } from '../publishing/publish-shard.js'
import { parseSnapshot, type Snapshot } from '../reading/snapshot.js'
import { Wakeup } from '../reading/wakeup.js'
import { WindowRecorder } from '../reading/window-recorder.js'
import { lockClass } from '../sharing/claim-shard.js'
import { ReaderUntil } from './reader-until.js'

export interface CloseGenerationRequest {
  readonly options: ResolvedRelayOptions
  readonly holder: string
  /** The one that ends; the next one is in outbox.shard_map already. */
  readonly generation: number
  readonly openReader: OpenReader
  readonly observer: PublishObserver
  readonly signal: AbortSignal
}

/**
 * Ends the shards of a generation and lets those of the next begin, where the order of a key would otherwise break: all
 * old shards are fenced, then one snapshot is taken and recorded, each old shard publishes what is visible in it and
 * commits that it is closed, and the new ones begin behind the same snapshot. Whoever is interrupted is followed by
 * somebody who goes on with the recorded snapshot.
 *
 * @throws OutboxError RELAY_FENCED when another process does the same, and whatever opening and publishing throw
 */
export async function closeGeneration(request: CloseGenerationRequest): Promise<void> {
  const { options, generation, signal } = request
  await using kafka = await connectKafka(options.kafka, { signal })
  const shards: Closing[] = []
  try {
    for (const shard of await shardsOf(request)) shards.push(await openToClose(request, shard, kafka))
    await faultPoint('relay.reshard.fenced')
    const [first] = shards
    invariant(first !== undefined, 'a shard map has a shard')
    const to = await recordedEnd(first, generation + 1)
    await faultPoint('relay.reshard.recorded')
    for (const shard of shards) {
      await closeShard(request, shard, to)
      await faultPoint('relay.reshard.closed')
    }
    await beginNext(first.database.reader, generation + 1)
  } finally {
    await Promise.all(shards.map(({ open }) => open.session.close()))
    await Promise.all(shards.map(({ database }) => database[Symbol.asyncDispose]()))
  }
}

interface Closing {
  readonly open: OpenShard
  readonly database: DatabaseConnections
  readonly kafka: KafkaClient
}

async function shardsOf({ options, generation }: CloseGenerationRequest): Promise<readonly number[]> {
  await using database = await connectDatabase(options.db, options.name)
  const { map } = await readDatabaseState(database.reader, { relay: options.name, shard: 0, generation })
  return map.shards.map(({ shard }) => shard)
}

async function openToClose(
  { options, holder, generation, signal }: CloseGenerationRequest,
  shard: number,
  kafka: KafkaClient,
): Promise<Closing> {
  const database = await connectDatabase(options.db, options.name)
  try {
    const { rows } = await database.reader.query<{ epoch: string | null }>(
      'select max(epoch) as epoch from outbox.claims where shard = $1',
      [shard],
    )
    const open = await openShard({
      options,
      shard,
      generation,
      toClose: true,
      kafka,
      database,
      holder,
      expectedEpoch: Number(rows[0]?.epoch ?? 0),
      onEpoch: () => undefined,
      signal,
    })
    return { open, database, kafka }
  } catch (error) {
    await database[Symbol.asyncDispose]()
    throw error
  }
}

// The statement's own snapshot, so that its xmax cannot lie above the txid that the row gets. Names the life token, as
// a window record does.
const insertEnd = `
insert into outbox.reshards (generation, to_snapshot)
select $1, pg_current_snapshot() from outbox.life where token = $2 and not pg_is_in_recovery()
on conflict do nothing`

/** The snapshot at which the old shards end: recorded once, and whoever comes later takes the same. */
async function recordedEnd({ open, database }: Closing, generation: number): Promise<Snapshot> {
  const { reader } = database
  await reader.query('begin isolation level read committed; set local synchronous_commit = on')
  await reader.query(insertEnd, [generation, open.lifeToken])
  await reader.query('commit')
  const { rows } = await reader.query<{ to_snapshot: string }>(
    'select to_snapshot::text as to_snapshot from outbox.reshards where generation = $1',
    [generation],
  )
  const [row] = rows
  if (row === undefined)
    throw new OutboxError('RELAY_LIFE_ENDED', 'the end of the old shards was refused: the life token is gone')
  return parseSnapshot(row.to_snapshot)
}

async function closeShard(
  request: CloseGenerationRequest,
  { open, database, kafka }: Closing,
  to: Snapshot,
): Promise<void> {
  const { options, generation, openReader, observer, signal } = request
  if (open.position.closedFor === generation + 1) return
  const drained = new AbortController()
  using wakeup = new Wakeup(options)
  const { position, window, confirmed } = await publishShard({
    options,
    open,
    kafka,
    database,
    wakeup,
    observer,
    openReader: (client, readerOptions) =>
      new ReaderUntil(openReader(client, readerOptions), to, () => drained.abort()),
    signal: AbortSignal.any([drained.signal, signal]),
  })
  signal.throwIfAborted()
  const last = { ...window, epoch: open.epoch, number: window.number + 1, incarnation: open.incarnation }
  const record = new WindowRecorder(database.recorder).record({
    shard: open.shard,
    window: last,
    to,
    confirmed,
    lifeToken: open.lifeToken,
  })
  record.catch(() => undefined) // the gate of the transaction
  const closed = positionBehind(position, {
    incarnation: open.incarnation,
    window: last,
    from: position.to,
    to,
    complete: true,
    events: 0,
    closedFor: generation + 1,
  })
  const partitions = [positionRecord(open.progress, open.shard, closed)]
  await open.session.publish({ partitions, gate: record })
}

// Window 0 of each new shard, all at once. The lock lets one of two processes that close the same generation do it.
const insertBeginnings = `
insert into outbox.windows (shard, generation, epoch, window_number, incarnation, to_snapshot)
select s.shard, m.generation, 0, 0, $2, r.to_snapshot
  from outbox.shard_map m
  join outbox.reshards r on r.generation = m.generation
 cross join jsonb_to_recordset(m.map -> 'shards') as s(shard smallint)
 where m.generation = $1
   and not exists (select from outbox.windows w
                    where w.shard = s.shard and w.generation = m.generation and w.window_number = 0)`

/** Window 0 of each shard of a generation, at the recorded snapshot; does nothing when they are there. */
export async function beginNext(client: Client, generation: number): Promise<void> {
  await client.query('begin isolation level read committed; set local synchronous_commit = on')
  try {
    await client.query('select pg_advisory_xact_lock($1, $2)', [lockClass, -1])
    await client.query(insertBeginnings, [generation, randomUUID()])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}
