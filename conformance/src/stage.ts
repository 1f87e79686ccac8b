import type { Proxy } from '@internal/proxy'
import { createTopic, randomName, type CreateTopicOptions } from '@internal/stack'
import type { Client } from './client.js'
import type { Ground } from './ground/ground.js'
import { committedValues } from './judge.js'
import { Ledger } from './ledger.js'
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
  readonly #users: User[] = []

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
    const { stepWithinMs, trace } = this.#options
    const number = this.#users.length + 1
    const user = new User({
      client,
      ledger: this.#ledger,
      brokers: this.ground.brokers,
      transactionalId,
      transactionTimeoutMs,
      onStep: (step, outcome) => trace?.(`  user ${number}: ${step}: ${outcome}`),
      ...(stepWithinMs !== undefined && { stepWithinMs }),
      ...options,
    })
    this.#users.push(user)
    return user
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
    await this.#endUsers()
    return await committedValues(this.ground.cluster, this.#topics, this.signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endUsers()
    await this.ground.restore()
  }

  async #endUsers(): Promise<void> {
    await Promise.all(this.#users.map((user) => user.kill()))
  }
}
