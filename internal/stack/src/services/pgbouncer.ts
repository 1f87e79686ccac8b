/** PgBouncer: the installed one, else Debian's packages unpacked into the cache, which needs no root. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { unprivilegedAccount } from '../account.js'
import { cached } from '../cache.js'
import { freePort } from '../free-port.js'
import { theLifeline } from '../lifeline.js'
import { isOnPath } from '../program-on-path.js'
import { randomName } from '../random-name.js'
import { CommandError } from '../run-command.js'
import { ServiceProcess } from '../service-process.js'
import { StackError } from '../stack-error.js'
import { libraryPath, unpackPackages } from './debian-packages.js'

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
  const [program, port, account] = await Promise.all([
    pgBouncerProgram(signal),
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
    command: program.command,
    arguments: [settings],
    environment: program.environment,
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

const packages = ['pgbouncer', 'libevent-2.1-7', 'libc-ares2']

async function pgBouncerProgram(
  signal: AbortSignal | undefined,
): Promise<{ command: string; environment: Readonly<Record<string, string>> }> {
  if (await isOnPath('pgbouncer', signal)) return { command: 'pgbouncer', environment: {} }
  const entry = await cached(
    `pgbouncer-debian-${process.arch}`,
    async (directory) => await unpack(directory, signal),
    signal,
  )
  return {
    command: path.join(entry, 'usr', 'sbin', 'pgbouncer'),
    environment: { LD_LIBRARY_PATH: await libraryPath(entry) },
  }
}

async function unpack(directory: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await unpackPackages(directory, packages, signal)
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause
    if (cause.missing)
      throw new StackError('STACK_PGBOUNCER_MISSING', 'there is neither `pgbouncer` nor `apt-get` on PATH', {
        cause,
      })
    throw new StackError('STACK_DOWNLOAD_FAILED', `PgBouncer could not be downloaded\n${cause.output}\n`, {
      cause,
    })
  }
}
