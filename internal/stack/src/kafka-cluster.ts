/** Kafka clusters for one test, which may kill, stop and pause their nodes. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { placeCoordinators } from './coordinators.js'
import { alterFeature } from './kafka-features.js'
import { nodeOf, quickStart, shortSession, type KafkaNode } from './kafka-node.js'
import { theLifeline } from './lifeline.js'
import type { Say } from './progress.js'
import { randomName } from './random-name.js'
import { kafkaClasspath } from './services/kafka-jars.js'
import { startKafkaNodes, type ProxiedAt } from './services/kafka-nodes.js'
import type { KafkaVersion } from './services/kafka-releases.js'
import { kafkaRuntime } from './services/kafka-runtime.js'

export interface PrivateKafkaOptions {
  /** 4.3 unless given. 3.9, which speaks transactions v1 only, is downloaded when first asked for. */
  readonly version?: KafkaVersion
  /** Lines for server.properties. */
  readonly settings?: Readonly<Record<string, string>>
  /** Finalized features to begin with, where they are not the version's, e.g. `{ 'transaction.version': 1 }`. */
  readonly features?: Readonly<Record<string, number>>
  /**
   * Adds a second listener that is advertised at the port that this resolves with, for a proxy in front of it. Called
   * once per node, before any starts, so nobody listens there yet. `brokers` stays the way past the proxies.
   *
   * @example
   * proxiedAt: async (upstream) => (proxy = await startProxy({ protocol: 'kafka', upstream })).port
   */
  readonly proxiedAt?: ProxiedAt
  readonly signal?: AbortSignal
}

export interface KafkaClusterOptions extends PrivateKafkaOptions {
  /**
   * How many; 3 unless given. Of three, each is broker and controller, so that any one may be missing; topics have three
   * replicas of which two must be in sync. Of two, only the second may be missing, and nothing is replicated.
   */
  readonly brokers?: number
  /** Keeps every coordinator, of groups and of transactions, on this node, and so off the others. */
  readonly coordinatorsOn?: number
}

export interface KafkaCluster extends AsyncDisposable {
  /** `host:port` of every node. */
  readonly brokers: readonly string[]
  /** Goes after `java -cp`: the tools of the version that runs. */
  readonly classpath: string
  /** The tools that the judge reads with, of the newest version, whatever version runs: older ones know other options. */
  readonly judgeClasspath: string
  /** Ids count from 1. */
  node(id: number): KafkaNode
  /** Changes a finalized feature, up or down; resolves when every node that answers tells the new level. */
  alterFeature(feature: string, level: number): Promise<void>
}

/** A cluster of one. */
export interface PrivateKafka extends KafkaNode, Omit<KafkaCluster, 'node'> {}

const silent: Say = () => undefined

/** Starts brokers of one's own, always embedded; disposing of them deletes their files. */
export const startKafkaCluster = async (options: KafkaClusterOptions = {}): Promise<KafkaCluster> => {
  const { brokers: nodes = 3, settings, coordinatorsOn, signal } = options
  const directory = path.join(theLifeline().runDirectory, randomName('kafka'))
  const runtime = await kafkaRuntime(silent, signal, options.version)
  const judgeClasspath = await kafkaClasspath(silent, signal)
  const brokers = await startKafkaNodes({
    ...options,
    runtime,
    nodes,
    directory,
    say: silent,
    settings: { ...shortSession, ...settings },
    javaOptions: quickStart,
  })
  const addresses = brokers.map(({ address }) => address)
  const destroy = async (): Promise<void> => {
    await Promise.all(brokers.map((broker) => broker.destroy()))
    await rm(directory, { recursive: true, force: true })
  }
  try {
    if (coordinatorsOn !== undefined) await placeCoordinators(addresses, coordinatorsOn)
  } catch (error) {
    await destroy()
    throw error
  }
  return {
    brokers: addresses,
    classpath: runtime.classpath,
    judgeClasspath,
    node: (id) => nodeOf(brokers, id),
    alterFeature: (feature, level) =>
      alterFeature(
        runtime,
        brokers.filter(({ answers }) => answers),
        { feature, level },
      ),
    [Symbol.asyncDispose]: destroy,
  }
}

/** Starts one broker of one's own. */
export const startPrivateKafka = async (options: PrivateKafkaOptions = {}): Promise<PrivateKafka> => {
  const { node, ...cluster } = await startKafkaCluster({ ...options, brokers: 1 })
  return { ...cluster, ...node(1) }
}
