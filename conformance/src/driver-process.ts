import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Client } from './client.js'
import type { Complaint, ReadRecord } from './driver.js'
import type { Answer, Argument, Message, Request, Step } from './driver-messages.js'
import { Failed } from './verdict.js'

/** How a step ended: with a value, or with what the client complains of. */
export type Outcome<Value> = { readonly value: Value } | { readonly complaint: Complaint }

interface Waiting {
  readonly settle: (message: Message) => void
  readonly fail: (error: Error) => void
}

export interface Steps {
  /** How long a step may take before the client counts as stuck. Default: 75,000, more than any client's own limits. */
  readonly stepWithinMs?: number
  /** A step has ended, in what way. */
  readonly onStep: (step: Step, outcome: string) => void
}

export interface DriverProcessOptions extends Steps {
  readonly onRecords?: (records: readonly ReadRecord[]) => void
  /** The process has ended; no step will. */
  readonly onEnd?: (error: Error) => void
}

const stepWithinMs = 75_000
const complaintsMax = 4_000

/** A client in a process of its own. Whatever it does, each step ends in bounded time. */
export class DriverProcess implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #exited: Promise<unknown>
  readonly #waiting = new Map<number, Waiting>()
  readonly #options: DriverProcessOptions
  #gone: Failed | undefined
  #steps = 0
  #lastWords = ''

  constructor(client: Client, options: DriverProcessOptions) {
    this.#options = options
    const { program, arguments: args, environment } = client
    this.#child = spawn(program, [...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    })
    this.#exited = once(this.#child, 'exit').catch(() => undefined)
    this.#child.once('error', (error) => this.#ended(error.message))
    this.#child.once('exit', (code, signal) => this.#ended(signal ?? `exit code ${code}`))
    this.#child.stdin.on('error', () => undefined) // its end is told by 'exit'
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#lastWords = (this.#lastWords + chunk.toString()).slice(-complaintsMax)
    })
    createInterface({ input: this.#child.stdout }).on('line', (line) =>
      this.#take(JSON.parse(line) as Message),
    )
  }

  /** @throws Failed when the client does not come to an end with it, or its process ends */
  async ask<Name extends Step>(
    step: Name,
    argument: Argument<Name>,
    withinMs = this.#options.stepWithinMs ?? stepWithinMs,
  ): Promise<Outcome<Answer<Name>>> {
    if (this.#gone !== undefined) throw this.#gone
    const id = ++this.#steps
    const request: Request = { id, step, argument }
    const answered = new Promise<Message>((resolve, reject) =>
      this.#waiting.set(id, { settle: resolve, fail: reject }),
    )
    answered.catch(() => undefined) // it may be asked for later, or not at all
    this.#child.stdin.write(`${JSON.stringify(request)}\n`)
    const timer = setTimeout(
      () =>
        this.#waiting.get(id)?.fail(new Failed(`stuck: ${step} did not end within ${withinMs / 1_000} s`)),
      withinMs,
    )
    try {
      const message = await answered
      const refused = 'complaint' in message
      this.#options.onStep(step, refused ? `${message.complaint.name} (${message.complaint.says})` : 'done')
      // What a driver answers is what its step returns.
      return refused ? message : { value: ('value' in message ? message.value : null) as Answer<Name> }
    } catch (error) {
      this.#options.onStep(step, String(error))
      throw error
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(id)
    }
  }

  /** SIGSTOP: it keeps its sockets and does nothing. */
  pause(): void {
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  #take(message: Message): void {
    if ('records' in message) this.#options.onRecords?.(message.records)
    else this.#waiting.get(message.id)?.settle(message)
  }

  #ended(how: string): void {
    const lines = this.#lastWords.trim().split('\n')
    const error = new Failed(
      `the client's process ended with ${how}: ${lines.find((line) => /Error/.test(line)) ?? lines.at(-1) ?? ''}`,
    )
    this.#gone ??= error
    for (const { fail } of this.#waiting.values()) fail(this.#gone)
    this.#options.onEnd?.(this.#gone)
  }
}
