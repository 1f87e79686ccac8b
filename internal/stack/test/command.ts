/** Runs the stack's programs as a person would: in another process, with a temporary folder and home of their own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { watch } from 'node:fs'
import { chmod, chown, mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Account {
  readonly uid: number
  readonly gid: number
}

const dist = (file: string): string => fileURLToPath(new URL(`../dist/${file}`, import.meta.url))

/** What `startStack` and `stack status` call addresses. */
export interface Addresses {
  readonly postgres?: { readonly port: number }
  readonly kafka?: { readonly brokers: readonly string[] }
  readonly redis?: { readonly url: string }
}

/** A folder that stands for the machine's temporary folder: the sockets and files in it are those of one test. */
export class Sandbox implements AsyncDisposable {
  private constructor(
    readonly directory: string,
    readonly account: Account | undefined,
  ) {}

  static async create(account?: Account): Promise<Sandbox> {
    const directory = await mkdtemp(path.join(tmpdir(), 'stack-test-'))
    await chmod(directory, 0o755) // as root, PostgreSQL runs as somebody else, who must get through
    if (account !== undefined) await chown(directory, account.uid, account.gid)
    return new Sandbox(directory, account)
  }

  /** Gives a folder in it, and the cache below that, to the account. */
  async own(directory: string): Promise<void> {
    if (this.account === undefined) return
    for (const folder of [directory, `${directory}/.cache`, `${directory}/.cache/oncebox`]) {
      await chown(folder, this.account.uid, this.account.gid)
    }
  }

  /** Starts node with this folder as TMPDIR, and without the shared stack's variables. */
  node(args: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(ONCEBOX_|VITEST|NODE_OPTIONS)/.test(name),
    )
    return spawn(process.execPath, args, {
      cwd: '/',
      env: { ...Object.fromEntries(inherited), TMPDIR: this.directory, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...this.account,
    })
  }

  /** Runs `stack <args>` to its end. */
  async stack(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    const child = this.node([dist('main.js'), ...args], environment)
    const output = { stdout: '', stderr: '' }
    child.stdout?.on('data', (text: Buffer) => (output.stdout += text.toString()))
    child.stderr?.on('data', (text: Buffer) => (output.stderr += text.toString()))
    await once(child, 'close')
    return { code: child.exitCode, ...output }
  }

  /** Starts a process that starts a stack, prints its addresses as one line of JSON, and then does nothing. */
  holder(services: readonly string[]): ChildProcess {
    const program = `
      import { startStack } from ${JSON.stringify(dist('index.js'))}
      const stack = await startStack({ services: ${JSON.stringify(services)}, onProgress: () => {} })
      console.log(JSON.stringify(stack.addresses))
      setInterval(() => {}, 1e6)`
    return this.node(['--input-type=module', '-e', program])
  }

  /** What the process printed first, parsed. */
  async firstLine(child: ChildProcess): Promise<Addresses> {
    if (child.stdout === null) throw new Error('the output is not piped')
    const [line] = (await once(child.stdout, 'data')) as [Buffer] // what a readable stream of bytes emits
    return JSON.parse(line.toString())
  }

  /** Resolves when nothing is left in the folder; what is in the way of that is for the test's time-out to tell. */
  async empty(): Promise<void> {
    for await (const _ of this.#changes()) if ((await readdir(this.directory)).length === 0) return
  }

  async *#changes(): AsyncGenerator<void> {
    const watcher = watch(this.directory)
    try {
      yield
      while (true) {
        await once(watcher, 'change')
        yield
      }
    } finally {
      watcher.close()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack(['down'])
    await rm(this.directory, { recursive: true, force: true })
  }
}

/** Connects to a port of this machine, and resolves with a promise of the server's end. */
export const connectTo = async (port: number): Promise<{ closed: Promise<unknown> }> => {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.resume().on('error', () => undefined)
  return { closed: new Promise((resolve) => socket.once('close', resolve)) }
}

/** The ports of all services. */
export const portsOf = (addresses: Addresses): number[] => [
  ...(addresses.postgres === undefined ? [] : [addresses.postgres.port]),
  ...(addresses.kafka?.brokers ?? []).map((broker) => Number(broker.split(':')[1])),
  ...(addresses.redis === undefined ? [] : [Number(new URL(addresses.redis.url).port)]),
]
