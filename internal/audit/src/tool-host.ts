/** A JVM in which Apache's tools run one after another and side by side. One per set of jars and process. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { AuditError } from './audit-error.js'
import { complaintsBytesMax, javaCommand, javaOptions } from './java-program.js'

const program = fileURLToPath(new URL('../java/ToolHost.java', import.meta.url))
const newline = 10

interface Run {
  readonly tool: string
  readonly written: Buffer[]
  complaints: string
  asked: boolean
  readonly resolve: (output: Buffer) => void
  readonly reject: (error: AuditError) => void
}

type Host = ChildProcessByStdio<Writable, Readable, Readable>

/** Runs the tools of one set of jars; its JVM starts with the first of them, and does not keep this process alive. */
export class ToolHost {
  readonly #classpath: string
  readonly #runs = new Map<string, Run>()
  #host: Host | undefined
  #received: Buffer = Buffer.alloc(0)
  #complaints = ''
  #ids = 0

  constructor(classpath: string) {
    this.#classpath = classpath
  }

  /** Starts a tool; `end` asks it to leave. Its output rejects when it ends badly without having been asked to. */
  run(tool: string, toolArguments: readonly string[]): { readonly output: Promise<Buffer>; end(): void } {
    const host = (this.#host ??= this.#start())
    const id = String(++this.#ids)
    const words = toolArguments.map((word) => Buffer.from(word).toString('base64'))
    const output = new Promise<Buffer>((resolve, reject) => {
      this.#runs.set(id, { tool, written: [], complaints: '', asked: false, resolve, reject })
    })
    keepsAlive(host, true)
    host.stdin.write(`${['run', id, tool, ...words].join(' ')}\n`)
    const end = (): void => {
      const run = this.#runs.get(id)
      if (run === undefined) return
      run.asked = true
      host.stdin.write(`end ${id}\n`)
    }
    return { output, end }
  }

  #start(): Host {
    const host = spawn(javaCommand(), [...javaOptions, '-cp', this.#classpath, program], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    host.stdin.on('error', () => undefined) // it has ended, which is told below
    host.stdout.on('data', (chunk: Buffer) => this.#receive(chunk))
    host.stderr.on('data', (chunk: Buffer) => {
      this.#complaints = (this.#complaints + chunk.toString()).slice(-complaintsBytesMax)
    })
    host.once('error', (cause) => this.#ended(host, `Java does not run: ${cause.message}`, cause))
    host.once('close', (code, signal) => {
      this.#ended(host, `the JVM ended with ${signal ?? `exit code ${code}`}`)
    })
    return host
  }

  /** Frames of java/ToolHost.java: a line `out|err|ended ID LENGTH`, and so many bytes. */
  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    for (;;) {
      const headEnd = this.#received.indexOf(newline)
      if (headEnd < 0) return
      const [kind = '', id = '', length = ''] = this.#received.toString('latin1', 0, headEnd).split(' ')
      const end = headEnd + 1 + Number(length)
      if (this.#received.length < end) return
      this.#take(kind, id, this.#received.subarray(headEnd + 1, end))
      this.#received = this.#received.subarray(end)
    }
  }

  #take(kind: string, id: string, bytes: Buffer): void {
    const run = this.#runs.get(id)
    if (run === undefined) return
    if (kind === 'out') run.written.push(bytes)
    else if (kind === 'err') run.complaints = (run.complaints + bytes.toString()).slice(-complaintsBytesMax)
    else this.#settle(id, run, Number(bytes))
  }

  #settle(id: string, run: Run, exitCode: number): void {
    this.#runs.delete(id)
    if (this.#runs.size === 0 && this.#host !== undefined) keepsAlive(this.#host, false)
    if (exitCode === 0 || run.asked) return run.resolve(Buffer.concat(run.written))
    const complaints = `${run.complaints}${this.#complaints}`.trim()
    run.reject(new AuditError(`${run.tool} ended with exit code ${exitCode}\n${complaints}`))
  }

  /** The next tool starts another JVM. */
  #ended(host: Host, why: string, cause?: Error): void {
    if (this.#host !== host) return
    this.#host = undefined
    this.#received = Buffer.alloc(0)
    for (const { tool, reject } of this.#runs.values())
      reject(new AuditError(`${tool}: ${why}\n${this.#complaints.trim()}`, { cause }))
    this.#runs.clear()
  }
}

/** A JVM that waits for the next tool must not keep a program from ending, and one that works must. */
function keepsAlive(host: Host, alive: boolean): void {
  for (const handle of [host, ...[host.stdin, host.stdout, host.stderr].map((stream) => stream as Socket)])
    if (alive)
      handle.ref() // pipes are sockets to Node, which its types do not say
    else handle.unref()
}
