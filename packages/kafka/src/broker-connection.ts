import { OutboxError } from '@oncebox/core'
import { connectionFailure } from './connection-failure.js'
import { createKafkajsConnection, type KafkajsConnection } from './kafkajs-internals.js'
import type { BrokerAddress, ResolvedKafkaOptions } from './options.js'
import type { Api } from './protocol/api.js'
import { apiVersions, thisSoftware, type ApiVersionsAnswer } from './protocol/api-versions.js'
import { requireSupport } from './protocol/required.js'
import { Reader } from './wire/reader.js'
import { Writer } from './wire/writer.js'

/** A request whose bytes are with the socket; its answer is still to come. */
export interface SentRequest<Answer> {
  readonly answer: Promise<Answer>
}

/** Who wants to know what a broker says of itself when a connection is opened. */
export type OnSupport = (answer: ApiVersionsAnswer) => void

/** One socket to one broker, past ApiVersions and SASL. Requests are answered in the order they were sent. */
export class BrokerConnection {
  readonly address: BrokerAddress
  readonly #raw: KafkajsConnection
  readonly #options: ResolvedKafkaOptions
  #answered = 0

  private constructor(address: BrokerAddress, options: ResolvedKafkaOptions) {
    this.address = address
    this.#options = options
    this.#raw = createKafkajsConnection({
      host: address.host,
      port: address.port,
      clientId: options.clientId,
      ssl: options.ssl,
      sasl: options.sasl,
      connectionTimeout: options.connectionTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
    })
  }

  /**
   * Connects, checks what the broker speaks, authenticates.
   * @throws OutboxError KAFKA_UNAVAILABLE, KAFKA_UNSUPPORTED, KAFKA_TLS_FAILED, KAFKA_AUTHENTICATION_FAILED
   */
  static async open(
    address: BrokerAddress,
    options: ResolvedKafkaOptions,
    signal: AbortSignal,
    onSupport: OnSupport,
  ): Promise<BrokerConnection> {
    signal.throwIfAborted()
    const connection = new BrokerConnection(address, options)
    const giveUp = (): void => connection.close()
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      await connection.#open(onSupport)
      return connection
    } catch (error) {
      connection.close()
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  get usable(): boolean {
    return this.#raw.isConnected() && this.#raw.socket?.writable === true
  }

  /** Sends and waits for the answer; longer than `requestTimeoutMs` when `waitMs`, for an answer that is held back, is longer. */
  async call<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    options: { readonly waitMs?: number } = {},
  ): Promise<Answer> {
    const { answer } = await this.send(api, request, options)
    return await answer
  }

  /**
   * Resolves when the bytes are with the socket. A rejection means that nothing was written; once it has resolved,
   * a missing answer leaves open whether the broker acted.
   *
   * @throws OutboxError KAFKA_UNAVAILABLE, KAFKA_AUTHENTICATION_FAILED when it had to log in again; the answer rejects
   *   with KAFKA_UNAVAILABLE, KAFKA_TLS_FAILED or KAFKA_PROTOCOL
   */
  async send<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    { waitMs }: { readonly waitMs?: number } = {},
  ): Promise<SentRequest<Answer>> {
    if (this.#options.sasl !== undefined && !this.#raw.isAuthenticated()) await this.#authenticate()
    return await this.#write(api, request, waitMs)
  }

  /** Ends the socket at once. Unanswered requests reject. Safe to call twice. */
  close(): void {
    const closed = this.#failure(new Error('the connection was closed'))
    this.#raw.rejectRequests(closed)
    // Nothing is unanswered any more, so this does not wait; it stops kafkajs's timers.
    void this.#raw.disconnect().catch(() => undefined)
    this.#raw.socket?.destroy(closed)
  }

  async #open(onSupport: OnSupport): Promise<void> {
    await this.#raw.connect().catch((error: unknown) => {
      throw this.#failure(error)
    })
    const { answer } = await this.#write(apiVersions, thisSoftware)
    const supported = await answer
    requireSupport(supported, `${this.address.host}:${this.address.port}`)
    onSupport(supported)
    if (this.#options.sasl === undefined) return
    this.#raw.setVersions(
      Object.fromEntries(
        [...supported.versions].map(([key, { min, max }]) => [key, { minVersion: min, maxVersion: max }]),
      ),
    )
    this.#raw.setSupportAuthenticationProtocol(true)
    await this.#authenticate()
  }

  async #authenticate(): Promise<void> {
    try {
      await this.#raw.authenticate()
    } catch (error) {
      this.close() // half authenticated, it would refuse everything from now on
      const { saslFailure } = this.#raw
      // An answer of the broker has a type; a connection that was lost meanwhile has none, and may come back.
      if (saslFailure !== undefined && !('type' in saslFailure)) throw this.#failure(saslFailure)
      if (OutboxError.is(error)) throw error
      const reason = error instanceof Error ? error.message : String(error)
      const { host, port } = this.address
      throw new OutboxError('KAFKA_AUTHENTICATION_FAILED', `${this.#name}: ${reason}`, {
        cause: error,
        details: { host, port },
      })
    }
  }

  async #write<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    waitMs?: number,
  ): Promise<SentRequest<Answer>> {
    if (!this.usable) throw this.#failure(new Error('not connected'))
    const correlationId = this.#raw.nextCorrelationId()
    const chunks = this.#frame(api, request, correlationId)
    let settle: { resolve: (payload: Buffer) => void; reject: (error: Error) => void } | undefined
    const payload = new Promise<Buffer>((resolve, reject) => {
      settle = { resolve, reject }
    })
    const written = new Promise<void>((resolve, reject) => {
      this.#raw.requestQueue.push({
        entry: {
          apiKey: api.key,
          apiName: api.name,
          apiVersion: api.version,
          correlationId,
          resolve: (answer) => settle?.resolve(answer.payload),
          reject: (error) => {
            settle?.reject(error)
            reject(error) // matters only while the request is held back by throttling
          },
        },
        expectResponse: true,
        requestTimeout: waitMs ?? null,
        sendRequest: () => {
          this.#writeChunks(chunks)
          resolve()
        },
      })
    })
    const answer = this.#decode(api, payload)
    answer.catch(() => undefined) // whoever awaits it sees the rejection; nobody may be there yet
    await written.catch((error: unknown) => {
      throw this.#failure(error)
    })
    return { answer }
  }

  async #decode<Answer>(api: Api<never, Answer>, payload: Promise<Buffer>): Promise<Answer> {
    const bytes = await payload.catch((error: unknown) => {
      throw this.#failure(error)
    })
    this.#answered++
    try {
      const reader = new Reader(bytes)
      if (api.answerHeader !== 'v0') reader.tags()
      const answer = api.decode(reader)
      const throttleMs = (answer as { readonly throttleMs?: number }).throttleMs // ApiVersions has none
      if (throttleMs !== undefined && throttleMs > 0) this.#raw.requestQueue.maybeThrottle(throttleMs)
      return answer
    } catch (error) {
      throw new OutboxError(
        'KAFKA_PROTOCOL',
        `${this.#name}: ${api.name} ${api.version}: an answer of ${bytes.length} bytes cannot be read`,
        {
          cause: error,
        },
      )
    }
  }

  /** Request header v2: length, key, version, correlation id, client id, no tags; then the body. */
  #frame<Request>(
    api: Api<Request, unknown>,
    request: Request,
    correlationId: number,
  ): readonly Uint8Array[] {
    const body = new Writer()
    body.int16(api.key).int16(api.version).int32(correlationId).string(this.#options.clientId).noTags()
    api.encode(body, request)
    const chunks = body.chunks()
    let bytes = 0
    for (const chunk of chunks) bytes += chunk.length
    return [...new Writer().int32(bytes).chunks(), ...chunks]
  }

  // Corked, so that the pieces leave in one system call without being joined first.
  #writeChunks(chunks: readonly Uint8Array[]): void {
    const socket = this.#raw.socket
    if (socket === undefined) throw new Error('not connected')
    socket.cork()
    for (const chunk of chunks) socket.write(chunk)
    socket.uncork()
  }

  get #name(): string {
    return `broker ${this.address.host}:${this.address.port}`
  }

  #failure(cause: unknown): OutboxError {
    return connectionFailure(cause, {
      address: this.address,
      options: this.#options,
      answered: this.#answered,
    })
  }
}
