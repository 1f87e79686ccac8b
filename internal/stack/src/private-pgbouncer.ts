/** PgBouncer before a server, for one test. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { unprivilegedAccount } from './account.js'
import { freePort } from './free-port.js'
import { theLifeline } from './lifeline.js'
import { randomName } from './random-name.js'
import { ServiceProcess } from './service-process.js'
import { findProgram, type DebianProgram } from './services/debian-program.js'

export interface PrivatePgBouncerOptions {
  /** Of the server behind it. */
  readonly serverUrl: string
  /** Server connections for each database; clients wait for one when all are in a transaction. */
  readonly poolSize: number
  readonly signal?: AbortSignal
}

export interface PrivatePgBouncer extends AsyncDisposable {
  /** The same database, through PgBouncer. */
  urlOf(databaseUrl: string): string
}

/** PgBouncer in transaction mode: between two transactions of a client, its server connection is somebody else's. */
export const startPrivatePgBouncer = async ({
  serverUrl,
  poolSize,
  signal,
}: PrivatePgBouncerOptions): Promise<PrivatePgBouncer> => {
  const directory = path.join(theLifeline().runDirectory, randomName('pgbouncer'))
  const [found, port, account] = await Promise.all([
    findProgram(program, () => undefined, signal),
    freePort(),
    unprivilegedAccount(),
    mkdir(directory, { recursive: true }),
  ])
  const { hostname, port: serverPort } = new URL(serverUrl)
  const settings = path.join(directory, 'pgbouncer.ini')
  await writeFile(
    settings,
    `[databases]
* = host=${hostname} port=${serverPort} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${poolSize}
`,
  )
  const running = await ServiceProcess.start({
    name: 'pgbouncer',
    command: found.command,
    arguments: [settings],
    environment: found.environment,
    directory,
    account,
    logFile: path.join(directory, 'pgbouncer.log'),
    ready: /process up/,
    lifeline: 'group',
    signal,
  })
  return {
    urlOf: (databaseUrl) => {
      const url = new URL(databaseUrl)
      url.port = String(port)
      return url.href
    },
    [Symbol.asyncDispose]: async () => {
      await running.end('SIGKILL')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

const program: DebianProgram = {
  command: 'pgbouncer',
  file: ['usr', 'sbin', 'pgbouncer'],
  packages: ['pgbouncer', 'libevent-2.1-7', 'libc-ares2'],
  missing: 'STACK_PGBOUNCER_MISSING',
}
