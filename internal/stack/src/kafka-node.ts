/** One broker, as a test sees it. */
import type { KafkaBroker } from './services/kafka-broker.js'

export interface KafkaNode {
  readonly id: number
  /** `host:port`. */
  readonly address: string
  /** Where the partitions lie, for DumpLogSegments. */
  readonly logDir: string
  readonly logFile: string
  pid(): number
  /** A controlled shutdown: leaders are moved away first. */
  stop(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
  /** Resolves when the broker accepts connections again, on the same ports, and the controller counts on it. */
  start(): Promise<void>
  /** SIGSTOP: its connections stay, and nothing is answered. */
  pause(): void
  /** SIGCONT. */
  resume(): void
}

// A killed broker may register again only when its old session has timed out, by default after 9 s: with this, a restart
// after a kill takes 3.6 s instead of 12.5 s (2 cores).
export const shortSession = { 'broker.session.timeout.ms': '2000', 'broker.heartbeat.interval.ms': '500' }

// For Java. A test's broker lives for a minute, and nobody measures it: without compiling well it is ready after 1.1 s of
// processor time instead of 2.0 s.
export const quickStart = ['-XX:TieredStopAtLevel=1']

/** The broker of this id. */
export const nodeOf = (brokers: readonly KafkaBroker[], id: number): KafkaNode => {
  const broker = brokers.find(({ nodeId }) => nodeId === id)
  if (broker === undefined) throw new Error(`the cluster has no node ${id}, only 1 to ${brokers.length}`)
  return {
    id,
    address: broker.address,
    logDir: broker.logDirectory,
    logFile: broker.logFile,
    pid: () => broker.pid,
    stop: () => broker.stop(),
    kill: () => broker.kill(),
    start: () => broker.start(),
    pause: () => broker.pause(),
    resume: () => broker.resume(),
  }
}
