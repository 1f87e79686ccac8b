/** One Kafka broker that is its own controller (KRaft), in a folder of its own: it can be stopped, killed and started again. */
import { randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { freePort } from '../free-port.js'
import type { Say } from '../progress.js'
import { runCommand } from '../run-command.js'
import { ServiceProcess } from '../service-process.js'
import { kafkaFile } from './kafka-jars.js'
import type { KafkaRuntime } from './kafka-runtime.js'

export interface KafkaListener {
  readonly host: string
  readonly port: number
}

export interface KafkaBrokerOptions {
  readonly directory: string
  readonly runtime: KafkaRuntime
  /** Added to server.properties, later lines win. */
  readonly settings?: Readonly<Record<string, string>>
  /** Asked once, before the broker starts: the port that its second listener is to be reached at. */
  readonly proxiedAt?: ((listener: KafkaListener) => Promise<number>) | undefined
  readonly say: Say
  readonly signal?: AbortSignal | undefined
}

const defaultSettings = (
  port: number,
  controllerPort: number,
  logDirectory: string,
): Record<string, string> => ({
  'process.roles': 'broker,controller',
  'node.id': '1',
  'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
  'controller.listener.names': 'CONTROLLER',
  listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
  'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
  'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  'log.dirs': logDirectory,
  // One broker: nothing can be replicated. Few partitions, for each costs a start some milliseconds.
  'offsets.topic.replication.factor': '1',
  'offsets.topic.num.partitions': '10',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'transaction.state.log.num.partitions': '10',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
  'share.coordinator.state.topic.num.partitions': '1',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000', // a killed consumer's partitions are given up sooner than Kafka's 6 s
  'auto.create.topics.enable': 'false',
  'log.cleaner.dedupe.buffer.size': '16777216', // of the heap; the default takes 128 MB
})

/** A second listener. Whoever asks it where the brokers are is sent to the proxy again, and not past it. */
const proxiedSettings = (
  settings: Readonly<Record<string, string>>,
  port: number,
  advertisedPort: number,
): Record<string, string> => ({
  ...settings,
  listeners: `${settings['listeners']},PROXIED://127.0.0.1:${port}`,
  'advertised.listeners': `${settings['advertised.listeners']},PROXIED://127.0.0.1:${advertisedPort}`,
  'listener.security.protocol.map': `${settings['listener.security.protocol.map']},PROXIED:PLAINTEXT`,
})

const ready = /Kafka Server started/
const properties = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\n`)
    .join('')

async function withProxy(
  settings: Readonly<Record<string, string>>,
  proxiedAt: KafkaBrokerOptions['proxiedAt'],
): Promise<Readonly<Record<string, string>>> {
  if (proxiedAt === undefined) return settings
  const port = await freePort()
  return proxiedSettings(settings, port, await proxiedAt({ host: '127.0.0.1', port }))
}

// Kafka draws its own the same way: an id that begins with a hyphen would be read as an option.
const clusterId = (): string => randomBytes(16).toString('base64url').replace(/^-/, 'A')

const logging = `-Dlog4j2.configurationFile=${kafkaFile('log4j2.properties')}`

export class KafkaBroker {
  readonly directory: string
  /** Where the partitions lie, for DumpLogSegments. */
  readonly logDirectory: string
  readonly brokers: readonly string[]
  readonly #runtime: KafkaRuntime
  readonly #say: Say
  #running: ServiceProcess | undefined

  private constructor(options: KafkaBrokerOptions, port: number) {
    this.directory = options.directory
    this.logDirectory = path.join(options.directory, 'data')
    this.brokers = [`127.0.0.1:${port}`]
    this.#runtime = options.runtime
    this.#say = options.say
  }

  /** Formats a new cluster in `directory` and starts it. */
  static async create(options: KafkaBrokerOptions): Promise<KafkaBroker> {
    const { directory, runtime, signal } = options
    const [port, controllerPort] = [await freePort(), await freePort()]
    const broker = new KafkaBroker(options, port)
    await mkdir(directory, { recursive: true })
    const settings = { ...defaultSettings(port, controllerPort, broker.logDirectory), ...options.settings }
    await writeFile(broker.#settingsFile, properties(await withProxy(settings, options.proxiedAt)))
    const format = ['kafka.tools.StorageTool', 'format', '-t', clusterId(), '-c', broker.#settingsFile]
    await runCommand(runtime.java, [...runtime.toolOptions, logging, '-cp', runtime.classpath, ...format], {
      directory,
      signal,
    })
    await broker.start(signal)
    return broker
  }

  get classpath(): string {
    return this.#runtime.classpath
  }

  get pid(): number {
    if (this.#running === undefined) throw new Error('the Kafka broker is not running')
    return this.#running.pid
  }

  get logFile(): string {
    return path.join(this.directory, 'kafka.log')
  }

  /** Starts the broker on its port again, with what its log holds. */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#running !== undefined) return
    const running = await ServiceProcess.start({
      name: 'kafka',
      command: this.#runtime.java,
      arguments: [
        ...this.#runtime.brokerOptions,
        logging,
        '-cp',
        this.classpath,
        'kafka.Kafka',
        this.#settingsFile,
      ],
      directory: this.directory,
      logFile: this.logFile,
      ready,
      lifeline: 'group',
      signal,
    })
    this.#running = running
    void running.exited.then(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#say(`ready on ${this.brokers.join(',')}`)
  }

  /** A controlled shutdown. */
  async stop(): Promise<void> {
    await this.#running?.end('SIGTERM')
    this.#running = undefined
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#running?.end('SIGKILL')
    this.#running = undefined
  }

  /** Ends the broker without saving anything, and deletes its files. */
  async destroy(): Promise<void> {
    await this.kill()
    await rm(this.directory, { recursive: true, force: true })
  }

  get #settingsFile(): string {
    return path.join(this.directory, 'server.properties')
  }
}
