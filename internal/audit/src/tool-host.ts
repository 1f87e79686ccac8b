/** A JVM in which Apache's tools run one after another and side by side. One per set of jars and process. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { AuditError } from './audit-error.js'
import { compiled, complaintsBytesMax, javaArguments, javaCommand, type RunningJava } from './java-program.js'

const source = fileURLToPath(new URL('../java/ToolHost.java', import.meta.url))
const newline = 10

interface Run {
  readonly tool: string
  readonly written: Buffer[]
  complaints: string
  asked: boolean
  readonly resolve: (output: Buffer) => void
  readonly reject: (error: unknown) => void
}

type Jvm = ChildProcessByStdio<Writable, Readable, Readable>

/** Runs the tools of one set of jars; its JVM starts with the first of them, and does not keep this process alive. */
export class ToolHost {
  readonly #classpath: string
  readonly #runs = new Map<string, Run>()
  #classes: Promise<string> | undefined
  #jvm: Jvm | undefined
  #received: Buffer = Buffer.alloc(0)
  #complaints = ''
  #ids = 0

  constructor(classpath: string) {
    this.#classpath = classpath
  }

  /** Starts a tool; `end` asks it to leave. Its output rejects when it ends badly without having been asked to. */
  run(tool: string, toolArguments: readonly string[]): RunningJava {
    const id = String(++this.#ids)
    const output = new Promise<Buffer>((resolve, reject) => {
      const run = { tool, written: [], complaints: '', asked: false, resolve, reject }
      this.#runs.set(id, run)
      this.#begin(id, run, toolArguments).catch((error: unknown) => {
        this.#runs.delete(id)
        reject(error)
      })
    })
    const end = (): void => {
      const run = this.#runs.get(id)
      if (run === undefined) return
      run.asked = true
      this.#jvm?.stdin.write(`end ${id}\n`)
    }
    return { output, end }
  }

  async #begin(id: string, run: Run, toolArguments: readonly string[]): Promise<void> {
    const classes = await (this.#classes ??= compiled(source, this.#classpath))
    const jvm = (this.#jvm ??= this.#start(classes))
    keepsAlive(jvm, true)
    const words = toolArguments.map((word) => Buffer.from(word).toString('base64'))
    jvm.stdin.write(`${['run', id, run.tool, ...words].join(' ')}\n`)
    if (run.asked) jvm.stdin.write(`end ${id}\n`)
  }

  #start(classes: string): Jvm {
    const jvm = spawn(javaCommand(), javaArguments([this.#classpath, classes], ['ToolHost']), {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    jvm.stdin.on('error', () => undefined) // it has ended, which is told below
    jvm.stdout.on('data', (chunk: Buffer) => this.#receive(chunk))
    jvm.stderr.on('data', (chunk: Buffer) => {
      this.#complaints = (this.#complaints + chunk.toString()).slice(-complaintsBytesMax)
    })
    jvm.once('error', (cause) => this.#ended(jvm, `Java does not run: ${cause.message}`, cause))
    jvm.once('close', (code, signal) => {
      this.#ended(jvm, `the JVM ended with ${signal ?? `exit code ${code}`}`)
    })
    return jvm
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
    if (this.#runs.size === 0 && this.#jvm !== undefined) keepsAlive(this.#jvm, false)
    if (exitCode === 0 || run.asked) return run.resolve(Buffer.concat(run.written))
    const complaints = `${run.complaints}${this.#complaints}`.trim()
    run.reject(new AuditError(`${run.tool} ended with exit code ${exitCode}\n${complaints}`))
  }

  /** The next tool starts another JVM. */
  #ended(jvm: Jvm, why: string, cause?: Error): void {
    if (this.#jvm !== jvm) return
    this.#jvm = undefined
    this.#received = Buffer.alloc(0)
    for (const { tool, reject } of this.#runs.values())
      reject(new AuditError(`${tool}: ${why}\n${this.#complaints.trim()}`, { cause }))
    this.#runs.clear()
  }
}

/** A JVM that waits for the next tool must not keep a program from ending, and one that works must. */
function keepsAlive(jvm: Jvm, alive: boolean): void {
  for (const handle of [jvm, ...[jvm.stdin, jvm.stdout, jvm.stderr].map((stream) => stream as Socket)])
    if (alive)
      handle.ref() // pipes are sockets to Node, which its types do not say
    else handle.unref()
}
