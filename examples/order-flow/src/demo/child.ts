/** One process of the flow, kept running: it is started again whenever it ends, until it is stopped. */
import { spawn, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { open, type FileHandle } from 'node:fs/promises'
import { delay } from '@oncebox/core'
import type { Program } from './programs.js'

// A process that ends by itself again and again is broken; starting it for ever would only hide that.
const crashesMax = 20
const crashDelayMs = 200
const lifeline = new URL('./lifeline.js', import.meta.url).href

interface ChildEvents {
  spawned: []
  ready: []
  /** It ended without having been asked to; with how. */
  crashed: [string]
}

export class Child extends EventEmitter<ChildEvents> {
  readonly program: Program
  readonly logFile: string
  /** SIGKILLs that hit. */
  kills = 0
  /** Times that it ended without having been asked to. */
  crashes = 0
  #process: ChildProcess | undefined
  #running: Promise<void> | undefined
  #killing = false
  #stopping = false

  constructor(program: Program, logFile: string) {
    super()
    this.program = program
    this.logFile = logFile
  }

  /** Starts it. The promise ends with `stop`, or rejects when the process cannot be kept running. */
  run(): Promise<void> {
    this.#running ??= this.#keepRunning()
    return this.#running
  }

  /** SIGKILL, and a new process at once. Waits for one to kill when there is none just now. */
  async kill(signal: AbortSignal): Promise<void> {
    while (this.#process === undefined || this.#killing) await once(this, 'spawned', { signal })
    if (this.#stopping) return
    this.#killing = true
    this.#process.kill('SIGKILL')
    await once(this.#process, 'exit', { signal })
  }

  /** SIGTERM, and SIGKILL to whatever is left after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true
    this.#process?.kill('SIGTERM')
    const later = setTimeout(() => this.#process?.kill('SIGKILL'), graceMs)
    await this.#running?.catch(() => undefined) // told to whoever awaits run()
    clearTimeout(later)
  }

  async #keepRunning(): Promise<void> {
    const log = await open(this.logFile, 'a')
    try {
      while (!this.#stopping) {
        const how = await this.#runOnce(log)
        if (this.#stopping) return
        if (this.#killing) this.kills += 1
        else await this.#afterCrash(how)
        this.#killing = false
      }
    } finally {
      await log.close()
    }
  }

  async #runOnce(log: FileHandle): Promise<string> {
    const child = spawn(
      process.execPath,
      ['--enable-source-maps', '--import', lifeline, ...this.program.arguments],
      {
        env: { ...process.env, ...this.program.environment },
        stdio: ['ignore', log.fd, log.fd, 'ipc'],
        detached: true, // Ctrl-C is for the demo, which then stops its processes in order
      },
    )
    this.#process = child
    child.on('message', (message) => message === 'ready' && this.emit('ready'))
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
    })
    this.emit('spawned')
    const how = await ended
    this.#process = undefined
    return how
  }

  async #afterCrash(how: string): Promise<void> {
    this.crashes += 1
    this.emit('crashed', how)
    if (this.crashes > crashesMax)
      throw new Error(
        `${this.program.name} has ended ${this.crashes} times by itself, the last time with ${how}: read ${this.logFile}`,
      )
    await delay(crashDelayMs)
  }
}
