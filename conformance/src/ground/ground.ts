import { startProxy, type Proxy } from '@internal/proxy'
import { startKafkaCluster, type KafkaCluster, type KafkaVersion } from '@internal/stack'

/** In the order of the report. */
export const kafkaVersions: readonly KafkaVersion[] = ['4.3', '3.9']

/** How many brokers a case needs. Of two, only the second may be missing: the first has all coordinators. */
export type Nodes = 1 | 2 | 3

/** Brokers that clients reach through a fault proxy each, and the judge past them. */
export interface Ground extends AsyncDisposable {
  readonly version: KafkaVersion
  readonly nodes: Nodes
  readonly cluster: KafkaCluster
  /** For clients. */
  readonly brokers: readonly string[]
  /** In front of a node; of the first unless said. */
  proxy(nodeId?: number): Proxy
  /** Ends every fault and starts what was stopped, so that the next case finds what this one found. */
  restore(): Promise<void>
}

// The coordinator looks for transactions that outlived their timeout every 10 s by default: a case would wait for that.
const settings = { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500' }
// One coordinator for all transactional ids, so that it can be moved whatever a client calls its own.
const oneCoordinator = { 'transaction.state.log.num.partitions': '1' }

export async function startGround(version: KafkaVersion, nodes: Nodes, signal: AbortSignal): Promise<Ground> {
  const proxies = new Map<number, Proxy>()
  const cluster = await startKafkaCluster({
    version,
    brokers: nodes,
    settings: { ...settings, ...(nodes === 3 && oneCoordinator) },
    ...(nodes === 2 && { coordinatorsOn: 1 }),
    signal,
    proxiedAt: async (upstream, nodeId) => {
      const proxy = await startProxy({ protocol: 'kafka', upstream })
      proxies.set(nodeId, proxy)
      return proxy.port
    },
  })
  return {
    version,
    nodes,
    cluster,
    brokers: [...proxies.values()].map(({ host, port }) => `${host}:${port}`),
    proxy(nodeId = 1) {
      const proxy = proxies.get(nodeId)
      if (proxy === undefined) throw new Error(`node ${nodeId} has no proxy`)
      return proxy
    },
    async restore() {
      for (const proxy of proxies.values()) {
        proxy.removeRules()
        proxy.cutAll()
      }
      await Promise.all([...proxies.keys()].map((nodeId) => cluster.node(nodeId).start()))
    },
    async [Symbol.asyncDispose]() {
      await cluster[Symbol.asyncDispose]()
      await Promise.all([...proxies.values()].map((proxy) => proxy[Symbol.asyncDispose]()))
    },
  }
}
