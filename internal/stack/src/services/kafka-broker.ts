/** One Kafka broker, usually a controller too (KRaft), in a folder of its own: it can be stopped, killed, paused and started again. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Say } from '../progress.js'
import { ServiceProcess } from '../service-process.js'
import type { KafkaRuntime } from './kafka-runtime.js'
import { host, properties, type NodeSettings } from './kafka-settings.js'
import { runKafkaTool } from './kafka-tool.js'

export interface KafkaBrokerOptions {
  readonly directory: string
  readonly runtime: KafkaRuntime
  readonly nodeId: number
  readonly listeners: NodeSettings['listeners']
  /** For Java, beside those of the runtime. */
  readonly javaOptions: readonly string[]
  readonly say: Say
}

const ready = /Kafka Server started/

export class KafkaBroker {
  readonly directory: string
  readonly nodeId: number
  readonly #listeners: NodeSettings['listeners']
  readonly #runtime: KafkaRuntime
  readonly #javaOptions: readonly string[]
  readonly #say: Say
  #running: ServiceProcess | undefined
  #paused = false

  constructor(options: KafkaBrokerOptions) {
    this.directory = options.directory
    this.nodeId = options.nodeId
    this.#listeners = options.listeners
    this.#runtime = options.runtime
    this.#javaOptions = options.javaOptions
    this.#say = options.say
  }

  /** `host:port` of its first listener. */
  get address(): string {
    return `${host}:${this.#listeners[0].port}`
  }

  /** `host:port` of the listener of this name. */
  addressOf(name: string): string {
    const listener = this.#listeners.find((one) => one.name === name)
    if (listener === undefined) throw new Error(`the Kafka broker ${this.nodeId} has no listener ${name}`)
    return `${host}:${listener.port}`
  }

  /** Where the partitions lie, for DumpLogSegments. */
  get logDirectory(): string {
    return path.join(this.directory, 'data')
  }

  get logFile(): string {
    return path.join(this.directory, 'kafka.log')
  }

  get pid(): number {
    return this.#process.pid
  }

  /** True while it can answer. */
  get answers(): boolean {
    return this.#running !== undefined && !this.#paused
  }

  /** Makes its folder that of a new cluster's node. `formatOptions` are those of `kafka-storage format`. */
  async format(
    settings: Readonly<Record<string, string>>,
    formatOptions: readonly string[],
    signal?: AbortSignal,
  ): Promise<void> {
    await mkdir(this.directory, { recursive: true })
    await writeFile(this.#settingsFile, properties(settings))
    await runKafkaTool(
      this.#runtime,
      'kafka.tools.StorageTool',
      ['format', '-c', this.#settingsFile, ...formatOptions],
      { directory: this.directory, signal },
    )
  }

  /** Starts the node on its ports, with what its log holds. */
  async start(signal?: AbortSignal): Promise<void> {
    if (this.#running !== undefined) return
    const { java, brokerOptions, classpath } = this.#runtime
    const running = await ServiceProcess.start({
      name: 'kafka',
      command: java,
      arguments: [
        ...brokerOptions,
        ...this.#javaOptions,
        '-cp',
        classpath,
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
    this.#paused = false
    void running.exited.then(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#say(`ready on ${this.address}`)
  }

  /** A controlled shutdown: leaders are moved away first. */
  async stop(): Promise<void> {
    if (this.#paused) this.resume() // a stopped process would take no signal
    await this.#running?.end('SIGTERM')
    this.#running = undefined
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    await this.#running?.end('SIGKILL')
    this.#running = undefined
  }

  /** SIGSTOP: it holds its connections and answers nothing. */
  pause(): void {
    process.kill(this.#process.pid, 'SIGSTOP')
    this.#paused = true
  }

  /** SIGCONT. */
  resume(): void {
    process.kill(this.#process.pid, 'SIGCONT')
    this.#paused = false
  }

  /** Ends the node without saving anything, and deletes its files. */
  async destroy(): Promise<void> {
    await this.kill()
    await rm(this.directory, { recursive: true, force: true })
  }

  get #process(): ServiceProcess {
    if (this.#running === undefined) throw new Error(`the Kafka broker ${this.nodeId} is not running`)
    return this.#running
  }

  get #settingsFile(): string {
    return path.join(this.directory, 'server.properties')
  }
}
