/** One running service: started, watched until its log says it is ready, ended, and on the lifeline all the while. */
import { spawn } from 'node:child_process'
import { watch } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import type { Account } from './account.js'
import { theLifeline, type Hold } from './lifeline.js'
import { StackError } from './stack-error.js'

export interface ServiceProcessOptions {
  readonly name: string
  readonly command: string
  readonly arguments: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly directory: string
  readonly account?: Account | undefined
  readonly logFile: string
  /** The line of the log that means: accepts connections. */
  readonly ready: RegExp
  readonly readyWithinMs?: number
  /** How the lifeline ends it: the whole group with SIGKILL, or its leader with SIGQUIT and then SIGKILL. */
  readonly lifeline: 'group' | 'leader'
  readonly signal?: AbortSignal | undefined
}

const logTailLines = 15

const tail = async (file: string): Promise<string> =>
  (await readFile(file, 'utf8').catch(() => '')).trimEnd().split('\n').slice(-logTailLines).join('\n')

export class ServiceProcess {
  readonly pid: number
  /** Resolves with a description such as `exit code 1` when the process has ended. */
  readonly exited: Promise<string>
  readonly #name: string
  readonly #hold: Hold
  readonly #ref: () => void

  private constructor(options: ServiceProcessOptions, logDescriptor: number) {
    const child = spawn(options.command, options.arguments, {
      cwd: options.directory,
      env: { ...process.env, ...options.environment },
      stdio: ['ignore', logDescriptor, logDescriptor],
      detached: true,
      ...options.account,
    })
    this.#name = options.name
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) =>
        resolve(signal === null ? `exit code ${code}` : `signal ${signal}`),
      )
    })
    this.pid = child.pid ?? 0
    this.#hold =
      options.lifeline === 'group' ? { signal: 'KILL', pid: -this.pid } : { signal: 'QUIT', pid: this.pid }
    if (this.pid !== 0) theLifeline().hold(this.#hold)
    void this.exited.then(() => theLifeline().release(this.#hold))
    child.unref() // a stack that nobody stops must not keep its process alive
    this.#ref = () => child.ref()
  }

  /** Starts the service and resolves once its log says it is ready. */
  static async start(options: ServiceProcessOptions): Promise<ServiceProcess> {
    options.signal?.throwIfAborted()
    const log = await open(options.logFile, 'a')
    const { size: logStart } = await log.stat()
    try {
      const started = new ServiceProcess(options, log.fd)
      try {
        await started.#untilReady(options, logStart)
      } catch (error) {
        await started.end('SIGKILL')
        throw error
      }
      return started
    } finally {
      await log.close()
    }
  }

  /** Sends `signal`, and SIGKILL after `graceMs`; resolves when the process is gone. */
  async end(signal: NodeJS.Signals, graceMs = 20_000): Promise<void> {
    if (this.pid === 0) return
    this.#ref()
    const killLater = setTimeout(() => this.#send('SIGKILL'), graceMs)
    this.#send(signal)
    await this.exited
    clearTimeout(killLater)
  }

  #send(signal: NodeJS.Signals): void {
    try {
      process.kill(signal === 'SIGKILL' ? this.#hold.pid : this.pid, signal)
    } catch {
      // It has ended by itself; `exited` says so.
    }
  }

  async #untilReady(
    { name, logFile, ready, readyWithinMs = 60_000, signal }: ServiceProcessOptions,
    logStart: number,
  ): Promise<void> {
    const stop = new AbortController()
    const until = AbortSignal.any([stop.signal, ...(signal === undefined ? [] : [signal])])
    const outcome = await new Promise<string>((resolve) => {
      const look = (): void => {
        void readFile(logFile).then(
          (log) => ready.test(log.subarray(logStart).toString()) && resolve('ready'),
        )
      }
      const watcher = watch(logFile, look)
      const deadline = setTimeout(() => resolve('late'), readyWithinMs)
      stop.signal.addEventListener('abort', () => {
        watcher.close()
        clearTimeout(deadline)
      })
      until.addEventListener('abort', () => resolve('aborted'), { once: true })
      void this.exited.then((how) => resolve(`ended with ${how}`))
      look()
    })
    stop.abort()
    signal?.throwIfAborted()
    if (outcome === 'ready') return
    const log = await tail(logFile)
    if (outcome === 'late') {
      throw new StackError(
        'STACK_START_TIMEOUT',
        `${name} was not ready within ${readyWithinMs / 1000} s\n${log}\n`,
      )
    }
    throw new StackError('STACK_SERVICE_FAILED', `${this.#name} ${outcome} before it was ready\n${log}\n`)
  }
}
