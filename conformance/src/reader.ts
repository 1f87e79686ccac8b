import type { Client } from './client.js'
import type { ReadRecord } from './driver.js'
import { DriverProcess, type Steps } from './driver-process.js'
import { describe } from './user.js'
import { Failed } from './verdict.js'

export interface ReaderOptions extends Steps {
  readonly client: Client
  readonly brokers: readonly string[]
}

const withinMs = 60_000

/** A program that reads a topic with the client, read_committed, from its beginning. */
export class Reader implements AsyncDisposable {
  readonly #options: ReaderOptions
  readonly #process: DriverProcess
  readonly #records: ReadRecord[] = []
  #onChange: (ended?: Error) => void = () => undefined

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#process = new DriverProcess(options.client, {
      ...options,
      onRecords: (records) => {
        this.#records.push(...records)
        this.#onChange()
      },
      onEnd: (error) => this.#onChange(error),
    })
  }

  get records(): readonly ReadRecord[] {
    return this.#records
  }

  get values(): readonly string[] {
    return this.#records.map(({ value }) => value)
  }

  /** @throws Failed when the client refuses */
  async start(topic: string, group: string): Promise<void> {
    const { brokers } = this.#options
    const outcome = await this.#process.ask('read', { brokers, topic, group })
    if ('complaint' in outcome) throw new Failed(`reading is refused: ${describe(outcome.complaint)}`)
  }

  /** @throws Failed when the value is not read in time */
  async until(value: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        this.#onChange = (ended) => {
          if (this.values.includes(value)) resolve()
          else if (ended !== undefined) reject(ended)
        }
        timer = setTimeout(() => reject(this.#stuck()), withinMs)
        this.#onChange()
      })
    } finally {
      clearTimeout(timer)
    }
  }

  async kill(): Promise<void> {
    await this.#process.kill()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  #stuck(): Failed {
    const last = this.values.at(-1) ?? 'none'
    return new Failed(
      `stuck: the reader did not come to the end within ${withinMs / 1_000} s; its last record was ${last}`,
    )
  }
}
