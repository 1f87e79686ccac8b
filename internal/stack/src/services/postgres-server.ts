/** One PostgreSQL server in a folder of its own, durable as in production: it can be stopped, crashed and started again. */
import {
  appendFile,
  chmod,
  chown,
  lchown,
  mkdir,
  readFile,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import pg from 'pg'
import { unprivilegedAccount, type Account } from '../account.js'
import { freePort } from '../free-port.js'
import { pollUntil } from '../poll-until.js'
import type { Say } from '../progress.js'
import { runCommand } from '../run-command.js'
import { ServiceProcess } from '../service-process.js'
import { npmPostgres, type PostgresPrograms } from './postgres-binaries.js'
import { copyRunningServer } from './postgres-copy.js'
import { debianPostgres } from './postgres-debian.js'

/** `npm`: the newest PostgreSQL, without tools. `debian`: an older one, with pg_dump, pg_upgrade and so on. */
export type PostgresRelease = 'npm' | 'debian'

export interface PostgresServerOptions {
  readonly directory: string
  /** `npm` unless given. */
  readonly release?: PostgresRelease
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

const programsOf = { npm: npmPostgres, debian: debianPostgres } as const

interface Parts {
  readonly programs: PostgresPrograms
  readonly account: Account | undefined
  readonly port: number
  readonly settings: Readonly<Record<string, string>>
}

export class PostgresServer {
  readonly port: number
  readonly directory: string
  readonly dataDirectory: string
  readonly #parts: Parts
  readonly #say: Say
  #running: ServiceProcess | undefined

  private constructor(options: Pick<PostgresServerOptions, 'directory' | 'say'>, parts: Parts) {
    this.directory = options.directory
    this.dataDirectory = path.join(options.directory, 'data')
    this.port = parts.port
    this.#parts = parts
    this.#say = options.say
  }

  /** Makes a new cluster in `directory` and starts it. */
  static async create(options: PostgresServerOptions): Promise<PostgresServer> {
    const [programs, account, port] = await Promise.all([
      programsOf[options.release ?? 'npm'](options.say, options.signal),
      unprivilegedAccount(),
      freePort(),
    ])
    const server = new PostgresServer(options, {
      programs,
      account,
      port,
      settings: { ...defaultSettings, ...options.settings, port: String(port) },
    })
    await server.#ownFolder(server.directory)
    await server.#initialise(server.dataDirectory, options.signal)
    await server.#configure(server.#parts.settings)
    await server.start(options.signal)
    return server
  }

  /** Starts a standby of this server, in a folder and on a port of its own: it streams, and is read only. */
  async startStandby(
    options: Pick<PostgresServerOptions, 'directory' | 'signal'> & { readonly name: string },
  ): Promise<PostgresServer> {
    const { directory, name, signal } = options
    const parts = { ...this.#parts, port: await freePort() }
    const standby = new PostgresServer({ directory, say: this.#say }, parts)
    await this.#query(`select pg_create_physical_replication_slot('${name}', true)`)
    await mkdir(directory, { recursive: true })
    await copyRunningServer(this.url, this.dataDirectory, standby.dataDirectory)
    await standby.#configure({
      port: String(standby.port),
      primary_conninfo: `host=127.0.0.1 port=${this.port} user=postgres application_name=${name}`,
      primary_slot_name: name,
      // What the copy brought along is its primary's: a promoted server that waits for standbys has none.
      synchronous_standby_names: '',
    })
    await writeFile(path.join(standby.dataDirectory, 'standby.signal'), '')
    await standby.#ownAll()
    await standby.start(signal)
    return standby
  }

  /** From now on a commit is answered when the standby of this name has it. */
  async waitForStandby(name: string): Promise<void> {
    await this.#query(`alter system set synchronous_standby_names = '${name}'`)
    await this.#query('select pg_reload_conf()')
    // Each process reads the new setting when it next looks; the sender's state says that commits wait for it.
    const isSynchronous = `select 1 / count(*) from pg_stat_replication
                            where application_name = '${name}' and sync_state = 'sync'
                              and current_setting('synchronous_standby_names') = '${name}'`
    await pollUntil(`commits wait for standby ${name}`, async () => {
      await this.#query(isSynchronous)
      return true
    })
  }

  /** Makes a primary of a standby; resolves when it takes writes. */
  async promote(): Promise<void> {
    await this.#query('select pg_promote(true, 60)')
  }

  /** pg_upgrade into a new cluster that takes this one's place and port. Ends with the server running. */
  async upgrade(signal?: AbortSignal): Promise<void> {
    await this.stop()
    const { binDirectory } = this.#parts.programs
    const upgraded = path.join(this.directory, 'upgraded')
    await this.#initialise(upgraded, signal)
    await this.#run(
      'pg_upgrade',
      [
        '-b',
        binDirectory,
        '-B',
        binDirectory,
        '-d',
        this.dataDirectory,
        '-D',
        upgraded,
        '-U',
        'postgres',
        '-s',
        tmpdir(),
      ],
      signal,
    )
    await rename(this.dataDirectory, path.join(this.directory, 'before'))
    await rename(upgraded, this.dataDirectory)
    await this.#configure(this.#parts.settings)
    await this.start(signal)
  }

  /** Runs a client program of this server's release, such as pg_dump, against it. */
  async runTool(program: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
    return await this.#run(
      program,
      ['-h', '127.0.0.1', '-p', String(this.port), '-U', 'postgres', ...args],
      signal,
    )
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

  async #query(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.url })
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }

  async #initialise(dataDirectory: string, signal: AbortSignal | undefined): Promise<void> {
    // --no-sync only skips flushing the files of the new cluster, which holds nothing yet.
    const args = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
    await this.#run('initdb', ['-D', dataDirectory, ...args], signal)
  }

  /** Later lines of a postgresql.conf win over earlier ones. */
  async #configure(settings: Readonly<Record<string, string>>): Promise<void> {
    await appendFile(path.join(this.dataDirectory, 'postgresql.conf'), configuration(settings))
  }

  async #run(program: string, args: readonly string[], signal: AbortSignal | undefined): Promise<string> {
    const { programs, account } = this.#parts
    return await runCommand(path.join(programs.binDirectory, program), args, {
      account,
      directory: this.directory,
      environment: programs.environment,
      signal,
    })
  }

  async #ownFolder(directory: string): Promise<void> {
    await mkdir(directory, { recursive: true })
    const { account } = this.#parts
    if (account !== undefined) await chown(directory, account.uid, account.gid)
  }

  /** Files that we copied as root belong to the server's account. */
  async #ownAll(): Promise<void> {
    const { account } = this.#parts
    await chmod(this.dataDirectory, 0o700)
    if (account === undefined) return
    const files = await readdir(this.directory, { recursive: true })
    for (const file of ['.', ...files])
      await lchown(path.join(this.directory, file), account.uid, account.gid)
  }

  #spawn(signal: AbortSignal | undefined): Promise<ServiceProcess> {
    return ServiceProcess.start({
      name: 'postgres',
      command: path.join(this.#parts.programs.binDirectory, 'postgres'),
      arguments: ['-D', this.dataDirectory],
      directory: this.directory,
      environment: this.#parts.programs.environment,
      account: this.#parts.account,
      logFile: this.logFile,
      ready,
      lifeline: 'leader',
      signal,
    })
  }
}
