import { EventEmitter, once } from 'node:events'
import pg from 'pg'
import { startPrivatePostgres, type PrivatePostgres, type PrivatePostgresOptions } from '@internal/stack'
import { startProxy } from '@internal/proxy'
import { insertEvent, setUp, type Bed } from './bed.js'

/** A bed on a server of its own, at an address that can be moved to another one, as a failover or a DNS change does. */
export interface MovableBed extends Bed {
  readonly server: PrivatePostgres
  /** Connections are cut, and new ones go to the other server. */
  moveTo(server: PrivatePostgres): Promise<void>
}

export async function setUpMovable(
  options: PrivatePostgresOptions & Parameters<typeof setUp>[0] = {},
): Promise<MovableBed> {
  const server = await startPrivatePostgres(options)
  const proxy = await startProxy({ protocol: 'postgres', upstream: { host: '127.0.0.1', port: server.port } })
  const url = new URL(server.url)
  url.port = String(proxy.port)
  const bed = await setUp({ ...options, serverUrl: url.href })
  return {
    ...bed,
    server,
    moveTo: async (other) => {
      proxy.moveTo({ host: '127.0.0.1', port: other.port })
      proxy.cutAll()
      // Not events.once: it rejects at the pool's error events, one for each connection that is cut.
      while (bed.pool.totalCount > 0) await new Promise((resolve) => bed.pool.once('remove', resolve))
    },
    async [Symbol.asyncDispose]() {
      await bed[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Writers that go on when the database fails them. What became of a COMMIT that failed is for the database to say. */
export interface HardyWriting extends AsyncDisposable {
  /** Commits that were answered. */
  readonly answered: number
  /** Resolves when so many more were answered. */
  more(events: number): Promise<void>
  stop(): Promise<void>
}

const againMs = 20

/** @param session Settings of the writers' sessions, such as `-c synchronous_commit=off`. */
export function emitThroughFailures(bed: Bed, { writers = 3, session = '' } = {}): HardyWriting {
  const pool = new pg.Pool({
    connectionString: bed.url,
    max: writers,
    options: session,
    application_name: 'writer',
  })
  pool.on('error', () => undefined)
  const stopping = new AbortController()
  const committed = new EventEmitter()
  committed.setMaxListeners(0)
  let answered = 0
  const running = Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let turn = 0; !stopping.signal.aborted; turn++) {
        const key = `writer-${writer}-key-${turn % 5}`
        try {
          await pool.query(insertEvent, [bed.topic, key, Buffer.from('{}')])
          committed.emit('committed', ++answered)
        } catch {
          await new Promise((resolve) => setTimeout(resolve, againMs)) // a server that is down gives no signal
        }
      }
    }),
  )
  const stop = async (): Promise<void> => {
    stopping.abort()
    await running
    if (!pool.ended) await pool.end()
  }
  return {
    get answered() {
      return answered
    },
    more: async (events) => {
      for (let left = events; left > 0; left--) await once(committed, 'committed')
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Transactions that take an id and roll back: ids that a crash forgets. */
export async function burnTransactionIds(bed: Bed, count: number): Promise<void> {
  const client = await bed.pool.connect()
  for (let n = 0; n < count; n++) {
    await client.query('begin')
    await client.query('select pg_current_xact_id()')
    await client.query('rollback')
  }
  client.release()
}

/**
 * What the OOM killer does to a backend: the postmaster then restarts all of it. Resolves when it takes connections
 * again.
 * @param whose Which one, as a condition on pg_stat_activity; a new one of ours unless given.
 */
export async function crashByOneBackend(
  server: PrivatePostgres,
  bed: Bed,
  whose = 'pid = pg_backend_pid()',
): Promise<void> {
  const witness = new pg.Client({ connectionString: bed.url })
  const lost = new Promise<void>((resolve) => witness.on('error', () => resolve()))
  await witness.connect()
  const { rows } = await witness.query<{ pid: number }>(
    `select pid from pg_stat_activity where ${whose} order by pid limit 1`,
  )
  const [victim] = rows
  if (victim === undefined) throw new Error(`no backend where ${whose}`)
  process.kill(victim.pid, 'SIGKILL')
  await lost
  await witness.end().catch(() => undefined)
  await untilConnectable(server)
}

/** pg_isready by another name: refused while recovery runs. */
async function untilConnectable(server: PrivatePostgres): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const probe = new pg.Client({ connectionString: server.url, connectionTimeoutMillis: 1_000 })
    probe.on('error', () => undefined)
    try {
      await probe.connect()
      await probe.query('select 1')
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 25))
    } finally {
      await probe.end().catch(() => undefined)
    }
  }
  throw new Error('the server did not come back')
}
