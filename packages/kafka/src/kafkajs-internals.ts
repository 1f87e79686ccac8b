/**
 * The one place that reaches into kafkajs: its Connection, which brings sockets, TLS, SASL (with re-authentication),
 * request queue, timeouts and throttling. Nothing of kafkajs's producer, cluster or retries is used. These paths are no
 * public API, so kafkajs is pinned exactly, and a test fails when another version is installed.
 */
import { createRequire } from 'node:module'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ISocketFactory, KafkaConfig } from 'kafkajs'

/** The kafkajs that the types below describe. */
export const kafkajsVersion = '2.2.4'

/** What is used of kafkajs's Connection. One socket to one broker. */
interface Connection {
  readonly socket: Socket | undefined
  readonly requestQueue: {
    push(request: {
      entry: {
        apiKey: number
        apiName: string
        apiVersion: number
        correlationId: number
        resolve: (answer: { payload: Buffer }) => void
        reject: (error: Error) => void
      }
      expectResponse: boolean
      /** Taken when it is longer than the connection's. */
      requestTimeout: number | null
      /** Called when no throttling holds the request back: writes the bytes. */
      sendRequest: () => void
    }): void
    /** KIP-219: holds the next requests back for so long. */
    maybeThrottle(ms: number): void
  }
  connect(): Promise<true>
  /** Resolves at once without SASL, or while the session is young enough. */
  authenticate(): Promise<void>
  /** How kafkajs sends its own requests; here, those of a SASL exchange and no others. */
  send(request: object): Promise<unknown>
  isAuthenticated(): boolean
  isConnected(): boolean
  setVersions(versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>>): void
  setSupportAuthenticationProtocol(supported: boolean): void
  nextCorrelationId(): number
  /** Rejects everything unanswered. */
  rejectRequests(error: Error): void
  /** Waits for what is unanswered, then ends the socket. */
  disconnect(): Promise<true>
}

/**
 * A connection that remembers why a SASL exchange ended. kafkajs's authenticators keep only the text of the error, and
 * call a broker that dies in the middle an authentication that failed.
 */
export interface KafkajsConnection extends Connection {
  readonly saslFailure: Error | undefined
}

export interface KafkajsConnectionOptions {
  readonly host: string
  readonly port: number
  readonly clientId: string
  readonly ssl: KafkaConfig['ssl']
  readonly sasl: KafkaConfig['sasl']
  readonly connectionTimeout: number
  readonly requestTimeout: number
}

interface SilentLogger {
  namespace(): SilentLogger
  debug(): void
  info(): void
  warn(): void
  error(): void
}

type ConnectionConstructor = new (
  options: KafkajsConnectionOptions & {
    readonly logger: SilentLogger
    readonly socketFactory: ISocketFactory
  },
) => Connection

const load = createRequire(import.meta.url)
// kafkajs has no types for its internals: the interfaces above are written from its source.
const Connection = load('kafkajs/src/network/connection') as ConnectionConstructor

class ObservedConnection extends Connection implements KafkajsConnection {
  saslFailure: Error | undefined

  override async send(request: object): Promise<unknown> {
    this.saslFailure = undefined
    try {
      return await super.send(request)
    } catch (error) {
      this.saslFailure = error instanceof Error ? error : new Error(String(error))
      throw error
    }
  }
}

/** A connection, not yet connected. What goes wrong is told by rejections, so kafkajs logs nothing. */
export const createKafkajsConnection = (options: KafkajsConnectionOptions): KafkajsConnection =>
  new ObservedConnection({ ...options, logger: silentLogger, socketFactory })

const nothing = (): void => undefined
const silentLogger: SilentLogger = {
  namespace: () => silentLogger,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
}

const keepAliveMs = 60_000

// kafkajs's own factory leaves Nagle's algorithm on: EndTxn, a small request behind a large one, then waits for an
// acknowledgement of the large one's last segment.
const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const socket = ssl
    ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
    : connectTcp({ host, port }, onConnect)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, keepAliveMs)
  return socket
}
