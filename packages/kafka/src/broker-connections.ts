import { OutboxError } from '@oncebox/core'
import { BrokerConnection, type OnSupport } from './broker-connection.js'
import type { Deadline } from './deadline.js'
import type { BrokerAddress, ResolvedKafkaOptions } from './options.js'

/** The connections of one purpose, one per broker, opened when first needed and again when lost. */
export class BrokerConnections {
  readonly #options: ResolvedKafkaOptions
  readonly #onSupport: OnSupport
  readonly #connections = new Map<string, Promise<BrokerConnection>>()
  readonly #opened = new Map<string, BrokerConnection>()
  readonly #closing = new AbortController()

  constructor(options: ResolvedKafkaOptions, onSupport: OnSupport) {
    this.#options = options
    this.#onSupport = onSupport
  }

  /**
   * A connection that is usable now.
   * @throws OutboxError KAFKA_UNAVAILABLE, KAFKA_UNSUPPORTED, KAFKA_AUTHORIZATION_FAILED, KAFKA_SESSION_CLOSED after
   *   {@link close}; nothing was sent.
   */
  async to(address: BrokerAddress, deadline: Deadline): Promise<BrokerConnection> {
    if (this.#closing.signal.aborted)
      throw new OutboxError('KAFKA_SESSION_CLOSED', 'the connections are closed')
    const key = keyOf(address)
    const known = this.#connections.get(key)
    if (known !== undefined) {
      const connection = await deadline.race(known)
      if (connection.usable) return connection
      if (this.#connections.get(key) === known) this.#forget(key, connection)
    }
    // Shared by everyone who asks meanwhile, so bounded by its own timeouts and not by one caller's deadline.
    const opening = this.#connections.get(key) ?? this.#open(key, address)
    return await deadline.race(opening)
  }

  /** The connection that {@link to} would return at once; undefined when it would have to be opened. */
  opened(address: BrokerAddress): BrokerConnection | undefined {
    const connection = this.#opened.get(keyOf(address))
    return connection?.usable === true ? connection : undefined
  }

  /** Whether a connection to the broker exists, open or opening. */
  has(address: BrokerAddress): boolean {
    return this.#connections.has(keyOf(address))
  }

  /** Closes them all; later calls of {@link to} are refused. */
  async close(): Promise<void> {
    this.#closing.abort(new OutboxError('KAFKA_SESSION_CLOSED', 'the connections were closed'))
    const opened = await Promise.allSettled(this.#connections.values())
    this.#connections.clear()
    this.#opened.clear()
    for (const result of opened) if (result.status === 'fulfilled') result.value.close()
  }

  #open(key: string, address: BrokerAddress): Promise<BrokerConnection> {
    const opening = BrokerConnection.open(address, this.#options, this.#closing.signal, this.#onSupport)
    this.#connections.set(key, opening)
    opening.then(
      (connection) => {
        if (this.#connections.get(key) === opening) this.#opened.set(key, connection)
      },
      () => {
        if (this.#connections.get(key) === opening) this.#connections.delete(key)
      },
    )
    return opening
  }

  #forget(key: string, connection: BrokerConnection): void {
    this.#connections.delete(key)
    this.#opened.delete(key)
    connection.close()
  }
}

const keyOf = ({ host, port }: BrokerAddress): string => `${host}:${port}`
