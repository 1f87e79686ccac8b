import { EventEmitter, once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { spawn, type ChildProcess } from 'node:child_process'
import pg from 'pg'
import { channels } from '@oncebox/core'
import { createDatabase, createTopic, randomName, sharedStack, type TestDatabase } from '@internal/stack'
import {
  judge,
  readTopic,
  type CommittedEvent,
  type Sighting,
  type TopicRecord,
  type Verdict,
} from '@internal/audit'
import { migrateOutbox } from '@oncebox/outbox'
import type { RelayOptions } from '../src/index.js'

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** A database with the outbox schema, a topic, and a relay name of their own. */
export interface Bed extends AsyncDisposable {
  readonly url: string
  readonly topic: string
  readonly relayName: string
  readonly pool: pg.Pool
  readonly options: RelayOptions
  /** Emits one event per key in one transaction each. */
  emit(keys: readonly string[], payload?: Buffer): Promise<void>
  /** Every event of the topic that was committed: those the database holds, or those of the ledger once there is one. */
  committed(topic?: string): Promise<CommittedEvent[]>
  /** What Apache's consumer reads, of the bed's topic or of another. */
  published(topic?: string): Promise<TopicRecord[]>
  /** Compares both, or what is given of the topic: what has a dead letter, and was not published again, is not to be in the topic. */
  verdict(published?: readonly TopicRecord[]): Promise<Verdict>
  /** Dead letters, oldest first. */
  letters(): Promise<Letter[]>
  /** Asks for letters to be published again, or dropped: all of a key, or all. As `oncebox dead-letters` does. */
  request(action: 'requeue' | 'discard', key?: string): Promise<void>
}

export interface Letter {
  readonly number: number
  readonly key: string | null
  readonly topic: string
  readonly state: 'dead' | 'parked' | 'requested' | 'published' | 'discarded'
  readonly code: string | null
  readonly reason: string | null
}

export const outboxTemplate = {
  name: 'relay-outbox-3',
  prepare: async (url: string): Promise<void> => {
    await migrateOutbox(url)
  },
}

export async function setUp(
  options: {
    partitions?: number
    serverUrl?: string
    /** Another Kafka than the shared stack's, and the broker that keeps each partition. */
    kafka?: { readonly brokers: readonly string[]; readonly assignment: readonly (readonly number[])[] }
    relay?: Partial<RelayOptions>
  } = {},
): Promise<Bed> {
  const database: TestDatabase =
    options.serverUrl === undefined
      ? await createDatabase({ template: outboxTemplate })
      : await createDatabase({ template: outboxTemplate, serverUrl: options.serverUrl })
  const topic = await createTopic('events', options.kafka ?? { partitions: options.partitions ?? 3 })
  const pool = new pg.Pool({ connectionString: database.url, max: 20 })
  pool.on('error', () => undefined)
  const relayName = randomName('relay')
  const brokers = [...(options.kafka ?? sharedStack().kafka).brokers]
  const bed: Bed = {
    url: database.url,
    topic,
    relayName,
    pool,
    options: {
      name: relayName,
      db: { connectionString: database.url },
      kafka: { brokers },
      logger: silent,
      leaseMs: 600,
      ...options.relay,
    },
    emit: async (keys, payload = Buffer.from('{}')) => {
      for (const key of keys) await pool.query(insertEvent, [topic, key, payload])
    },
    committed: async (of = topic) => {
      const ledger = await pool.query<{ there: boolean }>(`select to_regclass('ledger') is not null as there`)
      const { rows } = await pool.query<{ id: string; key: string; seq: string }>(
        `select e.id, e.key, e.seq
           from ${ledger.rows[0]?.there ? 'ledger' : 'outbox.events'} e
           left join outbox.dead_letters l on l.seq = e.seq
           left join outbox.dead_letter_status s on s.number = l.number
          where e.topic = $1 and coalesce(s.state, 'published') = 'published'
          order by e.seq`,
        [of],
      )
      return rows.map(({ id, key, seq }) => ({ id, key, version: Number(seq) }))
    },
    published: async (of = topic) =>
      await readTopic({
        brokers,
        classpath: sharedStack().kafka.classpath,
        topic: of,
        isolation: 'read_committed',
      }),
    letters: async () =>
      (
        await pool.query<Letter>(
          `select l.number::int as number, l.key, l.topic, s.state, s.code, s.reason
             from outbox.dead_letters l join outbox.dead_letter_status s using (number) order by number`,
        )
      ).rows,
    request: async (action, key) => {
      await pool.query(
        `select outbox.request_dead_letters($1, array(
           select number from outbox.dead_letter_status join outbox.dead_letters l using (number)
            where ended_at is null and (l.key = $2 or $2 is null)))`,
        [action, key ?? null],
      )
    },
    verdict: async (published) => {
      const committed = await bed.committed()
      return judge({ committed, published: toSightings(published ?? (await bed.published()), committed) })
    },
    [Symbol.asyncDispose]: async () => {
      await pool.end()
      if (options.serverUrl === undefined) await database.drop()
    },
  }
  return bed
}

/** Rotation as fast as it goes: a slot is left as soon as it holds anything, and emptied as soon as it may be. */
export const fastRotation = {
  rotation: { retentionMs: 0, slotMs: 100, slotBytes: 8_192, intervalMs: 50 },
} as const satisfies Partial<RelayOptions>

/** The same, for a relay process. */
export const fastRotationEnv = {
  ONCEBOX_ROTATION_RETENTION_MS: '0',
  ONCEBOX_ROTATION_SLOT_MS: '100',
  ONCEBOX_ROTATION_SLOT_BYTES: '8192',
  ONCEBOX_ROTATION_INTERVAL_MS: '50',
} as const

/** Remembers every committed event, since rotation takes them away. */
export async function keepLedger({ pool }: Bed): Promise<void> {
  await pool.query(`
    create table ledger (id uuid, topic text, key text, seq bigint);
    create function remember() returns trigger language plpgsql as $$
    begin
      insert into ledger values (new.id, new.topic, new.key, new.seq);
      return null;
    end $$;
    create trigger remember after insert on outbox.events for each row execute function remember()`)
}

/** How often a slot of a table was emptied. */
export async function timesEmptied({ pool }: Bed, relation = 'events'): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::int as count from outbox.rotations where relation = $1 and what = 'emptied'`,
    [relation],
  )
  return rows[0]?.count ?? Number.NaN
}

/** Rows that are still in the outbox. */
export async function rowsLeft({ pool }: Bed): Promise<number> {
  const { rows } = await pool.query<{ count: number }>('select count(*)::int as count from outbox.events')
  return rows[0]?.count ?? Number.NaN
}

export const insertEvent = `
insert into outbox.events (bucket, id, source, topic, type, key, payload)
values (outbox.bucket($2), outbox.uuid7(), 'test', $1, 'test.happened', $2, $3)`

/** Writers that emit until they are stopped, each with keys of its own, so that a key's order is the order of its sequence numbers. */
export interface SteadyWriting extends AsyncDisposable {
  /** Events committed so far. */
  readonly events: number
  /** Resolves when so many more are committed. */
  more(events: number): Promise<void>
  stop(): Promise<void>
}

export function emitSteadily(bed: Bed, writers = 3): SteadyWriting {
  const stopping = new AbortController()
  const committed = new EventEmitter()
  let events = 0
  const running = Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let turn = 0; !stopping.signal.aborted; turn++) {
        await bed.emit([`writer-${writer}-key-${turn % 5}`])
        committed.emit('committed', ++events)
      }
    }),
  )
  running.catch(() => undefined) // awaited by stop()
  const stop = async (): Promise<void> => {
    stopping.abort()
    await running
  }
  return {
    get events() {
      return events
    },
    more: async (count) => {
      for (let left = count; left > 0; left--) await Promise.race([once(committed, 'committed'), running])
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Records as the judge takes them, in the order of their partitions. The version is the committed event's own. */
export function toSightings(
  records: readonly TopicRecord[],
  committed: readonly CommittedEvent[],
): Sighting[] {
  const versions = new Map(committed.map(({ id, version }) => [id, version]))
  return records.map((record) => {
    const id = idOf(record)
    return {
      id,
      key: record.key,
      version: versions.get(id) ?? -1,
      partition: record.partition,
      at: `${record.topic}-${record.partition}@${record.offset}`,
    }
  })
}

const idOf = (record: TopicRecord): string => record.headers.get('ce_id') ?? ''

/** Resolves when the relay has committed `events` events since the call. */
export async function untilPublished(
  relay: string,
  events: number,
  signal = AbortSignal.timeout(60_000),
): Promise<void> {
  let left = events
  if (left <= 0) return
  await new Promise<void>((resolve, reject) => {
    const done = (): void => {
      channels.relayPublished.unsubscribe(listener)
      signal.removeEventListener('abort', abort)
    }
    const abort = (): void => {
      done()
      reject(new Error(`${left} of ${events} events were not published in time`, { cause: signal.reason }))
    }
    const listener = (message: unknown): void => {
      const published = message as { relay: string; events: number }
      if (published.relay !== relay) return
      left -= published.events
      if (left > 0) return
      done()
      resolve()
    }
    channels.relayPublished.subscribe(listener)
    signal.addEventListener('abort', abort, { once: true })
  })
}

/** Resolves at the relay's next message on a channel of core. */
export async function untilSeen(
  name: keyof typeof channels,
  relay: string,
  signal = AbortSignal.timeout(60_000),
): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const channel = channels[name]
    const listener = (message: unknown): void => {
      if ((message as { relay: string }).relay !== relay) return
      channel.unsubscribe(listener)
      resolve(message)
    }
    channel.subscribe(listener)
    signal.addEventListener(
      'abort',
      () => {
        channel.unsubscribe(listener)
        reject(new Error(`nothing on ${channel.name.toString()} in time`, { cause: signal.reason }))
      },
      { once: true },
    )
  })
}

/** Resolves when the relay, twice in a row after this call, has found nothing to publish. */
export async function untilIdleAt(bed: Bed): Promise<void> {
  await untilSeen('relayIdle', bed.relayName)
  await untilSeen('relayIdle', bed.relayName)
}

const cli = fileURLToPath(new URL('../../cli/dist/main.js', import.meta.url))
const agent = fileURLToPath(new URL('../../../internal/faults/dist/agent.js', import.meta.url))

/** A relay daemon, or another command, in a process of its own, as operators run it. */
export interface RelayProcess {
  readonly child: ChildProcess
  /** Resolves with how it ended. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }>
  /** Resolves when its output contains the text. */
  untilSaid(text: string): Promise<void>
}

export function startRelayProcess(
  bed: Bed,
  options: { fault?: string; env?: Record<string, string>; command?: readonly string[] } = {},
): RelayProcess {
  const child = spawn(process.execPath, ['--import', agent, cli, ...(options.command ?? ['relay'])], {
    env: {
      ...process.env,
      ONCEBOX_RELAY_NAME: bed.relayName,
      ONCEBOX_DATABASE_URL: bed.url,
      ONCEBOX_KAFKA_BROKERS: sharedStack().kafka.brokers.join(','),
      ONCEBOX_HTTP_PORT: 'off',
      ONCEBOX_LEASE_MS: '600',
      ...(options.fault === undefined ? {} : { ONCEBOX_FAULT: options.fault }),
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const said = new EventEmitter()
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
      said.emit('said')
    })
  const ended = once(child, 'exit').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    output,
  }))
  const untilSaid = async (text: string): Promise<void> => {
    while (!output.includes(text)) await Promise.race([once(said, 'said'), failWhenEnded()])
  }
  const failWhenEnded = async (): Promise<never> => {
    throw new Error(`the process ended first: ${(await ended).output}`)
  }
  return { child, ended, untilSaid }
}

/** Linux names a stopped process T; there is nothing to wait on for a process that has stopped itself but its state. */
export async function untilStopped(pid: number): Promise<void> {
  for (let attempt = 0; attempt < 2_000; attempt++) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    if (stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('the process did not stop itself')
}
