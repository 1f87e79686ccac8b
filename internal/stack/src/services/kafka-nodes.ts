/** The nodes of one Kafka cluster: formatted with one cluster id, and started together. */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { freePort } from '../free-port.js'
import type { Say } from '../progress.js'
import { KafkaBroker } from './kafka-broker.js'
import type { KafkaRuntime } from './kafka-runtime.js'
import {
  host,
  nodeSettings,
  type KafkaListener,
  type ListenerKind,
  type ListenerSettings,
  type NodeSettings,
  type SecurityProtocol,
} from './kafka-settings.js'

/** Asked once per node, before it starts: the port that its second listener is to be reached at. */
export type ProxiedAt = (listener: KafkaListener, nodeId: number) => Promise<number>

export interface KafkaNodesOptions {
  readonly directory: string
  readonly runtime: KafkaRuntime
  /** How many, with the ids 1, 2, ...; 1 unless given. */
  readonly nodes?: number | undefined
  /** Added to each server.properties, later lines win. */
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** Finalized features that the cluster begins with, where they are not its release's. */
  readonly features?: Readonly<Record<string, number>> | undefined
  readonly proxiedAt?: ProxiedAt | undefined
  /** One for plain text unless given. */
  readonly listeners?: readonly [ListenerKind, ...ListenerKind[]]
  readonly controllerProtocol?: SecurityProtocol
  /** For `kafka-storage format` and for Java, beside what every node gets. */
  readonly formatOptions?: readonly string[]
  readonly javaOptions?: readonly string[]
  readonly say: Say
  readonly signal?: AbortSignal | undefined
}

const plain: readonly [ListenerKind] = [{ name: 'PLAINTEXT', protocol: 'PLAINTEXT' }]

// Kafka draws its own the same way: an id that begins with a hyphen would be read as an option.
const clusterId = (): string => randomBytes(16).toString('base64url').replace(/^-/, 'A')

const featureOptions = (features: Readonly<Record<string, number>>): string[] =>
  Object.entries(features).flatMap(([name, level]) => ['--feature', `${name}=${level}`])

/** Starts a new cluster below `directory`; when one of its nodes cannot be started, none is left. */
export const startKafkaNodes = async (options: KafkaNodesOptions): Promise<readonly KafkaBroker[]> => {
  const { nodes = 1, features = {}, formatOptions = [], signal } = options
  const plans: NodeSettings[] = []
  for (let nodeId = 1; nodeId <= nodes; nodeId += 1) plans.push(await planNode(nodeId, options))
  const members = plans.map((plan) => ({ plan, broker: brokerOf(plan, options) }))
  const format = ['-t', clusterId(), ...featureOptions(features), ...formatOptions]
  const failed = new AbortController()
  const until = signal === undefined ? failed.signal : AbortSignal.any([failed.signal, signal])
  const starting = members.map(async ({ plan, broker }) => {
    await broker.format({ ...nodeSettings(plan, plans), ...options.settings }, format, until)
    await broker.start(until) // ready when most of them are, so they start together
  })
  try {
    await Promise.all(starting)
    return members.map(({ broker }) => broker)
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(starting)
    await Promise.all(members.map(({ broker }) => broker.destroy()))
    throw error
  }
}

const directoryOf = ({ directory }: KafkaNodesOptions, nodeId: number): string =>
  path.join(directory, `node-${nodeId}`)

async function planNode(nodeId: number, options: KafkaNodesOptions): Promise<NodeSettings> {
  const { proxiedAt, controllerProtocol = 'PLAINTEXT' } = options
  const [first, ...others] = options.listeners ?? plain
  const listeners: [ListenerSettings, ...ListenerSettings[]] = [await placed(first)]
  for (const listener of others) listeners.push(await placed(listener))
  if (proxiedAt !== undefined) {
    // Whoever asks it where the brokers are is sent to the proxies again, and not past them.
    const port = await freePort()
    const advertisedPort = await proxiedAt({ host, port }, nodeId)
    listeners.push({ name: 'PROXIED', protocol: 'PLAINTEXT', port, advertisedPort })
  }
  return {
    nodeId,
    controllerPort: await freePort(),
    controllerProtocol,
    listeners,
    logDirectory: path.join(directoryOf(options, nodeId), 'data'),
  }
}

async function placed(listener: ListenerKind): Promise<ListenerSettings> {
  const port = await freePort()
  return { ...listener, port, advertisedPort: port }
}

function brokerOf({ nodeId, listeners }: NodeSettings, options: KafkaNodesOptions): KafkaBroker {
  return new KafkaBroker({
    directory: directoryOf(options, nodeId),
    runtime: options.runtime,
    nodeId,
    listeners,
    javaOptions: options.javaOptions ?? [],
    say: options.say,
  })
}
