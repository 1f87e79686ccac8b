import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A process of the benchmark that answers questions, one at a time. */
export class Child implements AsyncDisposable {
  readonly #name: string
  readonly #process: ChildProcess
  readonly #ended: Promise<never>

  constructor(name: string, environment: Readonly<Record<string, string>>, signal: AbortSignal) {
    this.#name = name
    this.#process = fork(fileURLToPath(new URL(`./run-${name}.js`, import.meta.url)), {
      env: { ...process.env, ...environment },
      serialization: 'advanced',
      signal,
    })
    this.#ended = once(this.#process, 'exit').then(([code, killedBy]) => {
      throw new Error(`the ${name} ended with ${String(killedBy ?? code)}`)
    })
    this.#ended.catch(() => undefined)
  }

  /** Resolves when the process is ready for the first question. */
  async ready(): Promise<void> {
    await this.#next()
  }

  async ask<Question extends object, Answer>(question: Question): Promise<Answer> {
    const answered = this.#next()
    this.#process.send(question)
    // The other side is a program of this folder: what it answers is what the question's sender names.
    return (await answered) as Answer
  }

  async #next(): Promise<unknown> {
    const [message] = (await Promise.race([once(this.#process, 'message'), this.#ended])) as [
      { readonly value?: unknown; readonly error?: string },
    ]
    if (message.error !== undefined) throw new Error(`the ${this.#name}: ${message.error}`)
    return message.value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    this.#process.disconnect() // which ends it
    await this.#ended.catch(() => undefined)
  }
}

/** The other side: answers each question, and ends the process when nobody asks any more. */
export function answer<Question, Answer>(
  work: (question: Question) => Promise<Answer> | Answer,
  close: () => Promise<void>,
): void {
  process.on('message', (question) => {
    void (async () => {
      try {
        process.send?.({ value: await work(question as Question) })
      } catch (error) {
        process.send?.({ error: error instanceof Error ? error.message : String(error) })
      }
    })()
  })
  const end = (): void => void close().finally(() => process.exit(0))
  if (!process.connected) return end()
  process.once('disconnect', end)
  process.send?.({})
}
