/** A PostgreSQL server for one test, which may crash it. */
import path from 'node:path'
import { theLifeline } from './lifeline.js'
import type { Say } from './progress.js'
import { randomName } from './random-name.js'
import { PostgresServer, type PostgresRelease } from './services/postgres-server.js'

export interface PrivatePostgresOptions {
  /** Lines for postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
  /** `npm`, the newest, unless given. `debian` has pg_dump, pg_restore and pg_upgrade, of PostgreSQL 15 as a rule. */
  readonly release?: PostgresRelease
  readonly signal?: AbortSignal
}

export interface PrivatePostgres extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  readonly logFile: string
  postmasterPid(): number
  /** Children of the postmaster: backends and auxiliary processes. Which backend is yours: `select pg_backend_pid()`. */
  backendPids(): Promise<number[]>
  /** PostgreSQL's own shutdown modes; `fast` unless given. */
  stop(mode?: 'smart' | 'fast' | 'immediate'): Promise<void>
  /** Resolves when the server accepts connections again, on the same port, after crash recovery if it needs one. */
  start(): Promise<void>
  /** SIGKILL for the postmaster and all its children, as the end of their machine would be. */
  kill(signal: 'SIGKILL'): Promise<void>
  /** A hot standby that streams from this server under `name`. */
  startStandby(name: string): Promise<PrivatePostgres>
  /** From now on a commit is answered when the standby of this name has it (synchronous_standby_names). */
  waitForStandby(name: string): Promise<void>
  /** Makes a primary of a standby. */
  promote(): Promise<void>
  /** Replaces the server by a new cluster, as pg_upgrade makes it, on the same port. Release `debian` only. */
  upgrade(): Promise<void>
  /** Runs a client program of the server's release against it: pg_dump, pg_restore, psql. Release `debian` only. */
  runTool(program: string, args: readonly string[]): Promise<string>
}

const silent: Say = () => undefined

/** Starts a server of one's own, always embedded; disposing of it deletes its files. */
export const startPrivatePostgres = async (
  options: PrivatePostgresOptions = {},
): Promise<PrivatePostgres> => {
  const directory = path.join(theLifeline().runDirectory, randomName('postgres'))
  return privatePostgres(await PostgresServer.create({ ...options, directory, say: silent }))
}

const privatePostgres = (server: PostgresServer): PrivatePostgres => ({
  url: server.url,
  port: server.port,
  dataDir: server.dataDirectory,
  logFile: server.logFile,
  postmasterPid: () => server.pid,
  backendPids: () => server.childPids(),
  stop: (mode) => server.stop(mode),
  start: () => server.start(),
  kill: () => server.kill(),
  startStandby: async (name) => {
    const directory = path.join(theLifeline().runDirectory, randomName('standby'))
    return privatePostgres(await server.startStandby({ directory, name }))
  },
  waitForStandby: (name) => server.waitForStandby(name),
  promote: () => server.promote(),
  upgrade: () => server.upgrade(),
  runTool: (program, args) => server.runTool(program, args),
  [Symbol.asyncDispose]: () => server.destroy(),
})
