/** A Kafka broker for one test, which may kill it. */
import path from 'node:path'
import { theLifeline } from './lifeline.js'
import type { Say } from './progress.js'
import { randomName } from './random-name.js'
import { KafkaBroker, type KafkaListener } from './services/kafka-broker.js'
import { kafkaRuntime } from './services/kafka-runtime.js'

export interface PrivateKafkaOptions {
  /** Lines for server.properties. */
  readonly settings?: Readonly<Record<string, string>>
  /**
   * Adds a second listener that is advertised at the port that this resolves with, for a proxy in front of it. Called
   * before the broker starts, so nobody listens there yet. `brokers` stays the way past the proxy.
   *
   * @example
   * proxiedAt: async (upstream) => (proxy = await startProxy({ protocol: 'kafka', upstream })).port
   */
  readonly proxiedAt?: (listener: KafkaListener) => Promise<number>
  readonly signal?: AbortSignal
}

export interface PrivateKafka extends AsyncDisposable {
  readonly brokers: readonly string[]
  readonly classpath: string
  /** Where the partitions lie, for DumpLogSegments. */
  readonly logDir: string
  readonly logFile: string
  pid(): number
  /** A controlled shutdown. */
  stop(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
  /** Resolves when the broker accepts connections again, on the same port. */
  start(): Promise<void>
}

// A killed broker may register again only when its old session has timed out, by default after 9 s: with this, a restart
// after a kill takes 3.6 s instead of 12.5 s (2 cores).
const shortSession = { 'broker.session.timeout.ms': '2000', 'broker.heartbeat.interval.ms': '500' }

const silent: Say = () => undefined

/** Starts a broker of one's own, always embedded; disposing of it deletes its files. */
export const startPrivateKafka = async (options: PrivateKafkaOptions = {}): Promise<PrivateKafka> => {
  const directory = path.join(theLifeline().runDirectory, randomName('kafka'))
  const runtime = await kafkaRuntime(silent, options.signal)
  const broker = await KafkaBroker.create({
    runtime,
    signal: options.signal,
    settings: { ...shortSession, ...options.settings },
    proxiedAt: options.proxiedAt,
    directory,
    say: silent,
  })
  return {
    brokers: broker.brokers,
    classpath: broker.classpath,
    logDir: broker.logDirectory,
    logFile: broker.logFile,
    pid: () => broker.pid,
    stop: () => broker.stop(),
    kill: () => broker.kill(),
    start: () => broker.start(),
    [Symbol.asyncDispose]: () => broker.destroy(),
  }
}
