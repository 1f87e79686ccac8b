/** One PostgreSQL server in a folder of its own, durable as in production: it can be stopped, crashed and started again. */
import { appendFile, chown, mkdir, readFile, readdir, readlink, realpath, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { unprivilegedAccount, type Account } from '../account.js'
import { freePort } from '../free-port.js'
import type { Say } from '../progress.js'
import { runCommand } from '../run-command.js'
import { ServiceProcess } from '../service-process.js'
import { postgresBinaries } from './postgres-binaries.js'

export interface PostgresServerOptions {
  readonly directory: string
  readonly settings?: Readonly<Record<string, string>>
  readonly say: Say
  readonly signal?: AbortSignal | undefined
}

// fsync and synchronous_commit stay on: the promises under test are about what a crash leaves behind.
const defaultSettings: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  fsync: 'on',
  shared_buffers: '256MB',
  max_connections: '300',
  max_prepared_transactions: '50',
  max_wal_size: '4GB',
  log_checkpoints: 'off',
}

const startTriesMax = 50
const startAgainMs = 50
const ready = /database system is ready to accept (read-only )?connections/

const configuration = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    .join('')

const killAll = (pids: readonly number[]): void => {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It saw its postmaster die and has ended by itself.
    }
  }
}

/** Process ids of all processes whose working folder this is, as a server's is its data folder. */
const processesIn = async (directory: string): Promise<number[]> => {
  const here = await realpath(directory)
  const pids = (await readdir('/proc').catch(() => [])).map(Number).filter(Number.isInteger)
  const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => undefined)))
  return pids.filter((_, index) => folders[index] === here)
}

export class PostgresServer {
  readonly port: number
  readonly directory: string
  readonly dataDirectory: string
  readonly #binaries: string
  readonly #account: Account | undefined
  readonly #say: Say
  #running: ServiceProcess | undefined

  private constructor(
    options: PostgresServerOptions,
    binaries: string,
    account: Account | undefined,
    port: number,
  ) {
    this.directory = options.directory
    this.dataDirectory = path.join(options.directory, 'data')
    this.port = port
    this.#binaries = binaries
    this.#account = account
    this.#say = options.say
  }

  /** Makes a new cluster in `directory` and starts it. */
  static async create(options: PostgresServerOptions): Promise<PostgresServer> {
    const [binaries, account, port] = await Promise.all([
      postgresBinaries(options.say, options.signal),
      unprivilegedAccount(),
      freePort(),
    ])
    const server = new PostgresServer(options, binaries, account, port)
    await mkdir(options.directory, { recursive: true })
    if (account !== undefined) await chown(options.directory, account.uid, account.gid)
    // --no-sync only skips flushing the files of the new cluster, which holds nothing yet.
    const args = [
      '-D',
      server.dataDirectory,
      '-U',
      'postgres',
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
    ]
    await runCommand(path.join(binaries, 'bin', 'initdb'), args, {
      account,
      directory: options.directory,
      signal: options.signal,
    })
    const settings = { ...defaultSettings, ...options.settings, port: String(port) }
    await appendFile(path.join(server.dataDirectory, 'postgresql.conf'), configuration(settings))
    await server.start(options.signal)
    return server
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`
  }

  /** The process id of the postmaster. */
  get pid(): number {
    if (this.#running === undefined) throw new Error('the PostgreSQL server is not running')
    return this.#running.pid
  }

  get logFile(): string {
    return path.join(this.directory, 'postgres.log')
  }

  /** Starts the server on its port again; after a crash this includes crash recovery. */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#running !== undefined) return
    for (let attempt = 1; this.#running === undefined; attempt += 1) {
      try {
        this.#running = await this.#spawn(signal)
      } catch (error) {
        // Backends at work can outlive a killed postmaster, and hold its shared memory: PostgreSQL's hint is to end
        // them. They are no children of ours, so nothing tells when they are gone.
        const held = error instanceof Error && error.message.includes('pre-existing shared memory block')
        if (!held || attempt === startTriesMax) throw error
        killAll(await processesIn(this.dataDirectory))
        await setTimeout(startAgainMs, undefined, { signal })
      }
    }
    const running = this.#running
    void running.exited.then(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#say(`ready on port ${this.port}`)
  }

  /** `smart`, `fast` and `immediate` are PostgreSQL's own words; the last one is a crash without a kill. */
  async stop(mode: 'smart' | 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.#running?.end(({ smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const)[mode])
    this.#running = undefined
  }

  /** Process ids of all children of the postmaster: backends and auxiliary processes. */
  async childPids(): Promise<number[]> {
    if (process.platform === 'linux') {
      const children = await readFile(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8')
      return children.trim().split(' ').map(Number)
    }
    const list = await runCommand('ps', ['-A', '-o', 'pid=,ppid='])
    return list
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .flatMap(([pid, parent]) => (pid !== undefined && parent === this.pid ? [pid] : []))
  }

  /** SIGKILL for the whole server at once, as the end of its machine would be. */
  async kill(): Promise<void> {
    if (this.#running === undefined) return
    const children = await this.childPids()
    await this.#running.end('SIGKILL')
    this.#running = undefined
    killAll(children)
  }

  /** Ends the server without saving anything, and deletes its files. */
  async destroy(): Promise<void> {
    await this.stop('immediate')
    await rm(this.directory, { recursive: true, force: true })
  }

  #spawn(signal: AbortSignal | undefined): Promise<ServiceProcess> {
    return ServiceProcess.start({
      name: 'postgres',
      command: path.join(this.#binaries, 'bin', 'postgres'),
      arguments: ['-D', this.dataDirectory],
      directory: this.directory,
      account: this.#account,
      logFile: this.logFile,
      ready,
      lifeline: 'leader',
      signal,
    })
  }
}
