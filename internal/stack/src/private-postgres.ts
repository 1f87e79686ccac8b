/** A PostgreSQL server for one test, which may crash it. */
import path from 'node:path'
import { theLifeline } from './lifeline.js'
import type { Say } from './progress.js'
import { randomName } from './random-name.js'
import { PostgresServer } from './services/postgres-server.js'

export interface PrivatePostgresOptions {
  /** Lines for postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
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
}

const silent: Say = () => undefined

/** Starts a server of one's own, always embedded; disposing of it deletes its files. */
export const startPrivatePostgres = async (
  options: PrivatePostgresOptions = {},
): Promise<PrivatePostgres> => {
  const directory = path.join(theLifeline().runDirectory, randomName('postgres'))
  const server = await PostgresServer.create({ ...options, directory, say: silent })
  return {
    url: server.url,
    port: server.port,
    dataDir: server.dataDirectory,
    logFile: server.logFile,
    postmasterPid: () => server.pid,
    backendPids: () => server.childPids(),
    stop: (mode) => server.stop(mode),
    start: () => server.start(),
    kill: () => server.kill(),
    [Symbol.asyncDispose]: () => server.destroy(),
  }
}
