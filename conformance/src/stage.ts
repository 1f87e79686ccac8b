import type { Proxy } from '@internal/proxy'
import { createTopic, randomName, type CreateTopicOptions } from '@internal/stack'
import type { Client } from './client.js'
import type { Ground } from './ground/ground.js'
import type { Steps } from './driver-process.js'
import { committedValues } from './judge.js'
import { Ledger } from './ledger.js'
import { Reader } from './reader.js'
import { User } from './user.js'

export interface StageOptions {
  readonly client: Client
  readonly ground: Ground
  /** How long a step of a client may take before it counts as stuck. */
  readonly stepWithinMs?: number
  /** Told what each step of each client came to. */
  readonly trace?: (line: string) => void
  readonly signal: AbortSignal
}

/** The same for all clients: one's default is 5 s, which is also its request timeout, another's 60 s. */
const transactionTimeoutMs = 30_000

/** What a case is played on: one client, brokers behind their proxies, and a ledger. Everything on it ends with the case. */
export class Stage implements AsyncDisposable {
  readonly client: Client
  readonly ground: Ground
  readonly signal: AbortSignal
  readonly transactionalId = randomName('case')
  readonly #options: StageOptions
  readonly #ledger = new Ledger()
  readonly #topics: string[] = []
  readonly #processes: (User | Reader)[] = []

  constructor(options: StageOptions) {
    this.client = options.client
    this.ground = options.ground
    this.signal = options.signal
    this.#options = options
  }

  /** Of the only broker, where there is one. */
  get proxy(): Proxy {
    return this.ground.proxy()
  }

  /** Past the proxies. */
  get brokers(): readonly string[] {
    return this.ground.cluster.brokers
  }

  /** A topic that is judged in the end. */
  async topic(options: CreateTopicOptions = {}): Promise<string> {
    const topic = await createTopic('case', { ...options, brokers: this.brokers })
    this.#topics.push(topic)
    return topic
  }

  /** A process with the client in it. Each has the same transactional id. */
  user(options: { readonly transactionTimeoutMs?: number } = {}): User {
    const { client, transactionalId } = this
    const { brokers } = this.ground
    const parts = { client, ledger: this.#ledger, brokers, transactionalId, transactionTimeoutMs }
    return this.#keep(new User({ ...parts, ...this.#steps('user'), ...options }))
  }

  /** A process that reads a topic, in a group of its own. */
  async reader(topic: string): Promise<Reader> {
    const { client } = this
    const { brokers } = this.ground
    const reader = this.#keep(new Reader({ client, brokers, ...this.#steps('reader') }))
    await reader.start(topic, randomName('reader'))
    return reader
  }

  /** {@link user} with an open producer. */
  async openUser(options: { readonly transactionTimeoutMs?: number } = {}): Promise<User> {
    const user = this.user(options)
    await user.open()
    return user
  }

  /**
   * Ends the clients and compares what they said with what is in the topics.
   * @throws Failed
   */
  async judge(): Promise<void> {
    this.#ledger.check(await this.visible())
  }

  /**
   * Ends the clients. What a read_committed reader sees in the topics, by Apache's own consumer.
   * @throws Failed when a transaction that nobody ends hides the end of one
   */
  async visible(): Promise<readonly string[]> {
    await this.#endClients()
    return await committedValues(this.ground.cluster, this.#topics, this.signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endClients()
    await this.ground.restore()
  }

  async #endClients(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.kill()))
  }

  #steps(what: string): Steps {
    const { stepWithinMs, trace } = this.#options
    const name = `${what} ${this.#processes.length + 1}`
    return {
      ...(stepWithinMs !== undefined && { stepWithinMs }),
      onStep: (step, outcome) => trace?.(`  ${name}: ${step}: ${outcome}`),
    }
  }

  #keep<Process extends User | Reader>(one: Process): Process {
    this.#processes.push(one)
    return one
  }
}
