/** What stands in server.properties of a node of a cluster. */

export interface KafkaListener {
  readonly host: string
  readonly port: number
}

export type SecurityProtocol = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'

export interface ListenerKind {
  readonly name: string
  readonly protocol: SecurityProtocol
}

export interface ListenerSettings extends ListenerKind {
  readonly port: number
  /** Where clients are sent: `port`, or that of a proxy in front of it. */
  readonly advertisedPort: number
}

export interface NodeSettings {
  readonly nodeId: number
  readonly controllerPort: number
  readonly controllerProtocol: SecurityProtocol
  /** Brokers talk to each other through the first. */
  readonly listeners: readonly [ListenerSettings, ...ListenerSettings[]]
  readonly logDirectory: string
}

/** Everything on loopback: nobody else is to reach a test's broker. */
export const host = '127.0.0.1'

const controllerListener = 'CONTROLLER'

/** Of each of the topics that hold the coordinators' state. */
export const internalPartitions = 10

// Three nodes keep what is written when one of them dies; with fewer, nothing can be promised, so nothing is replicated.
// Few partitions, for each costs a start some milliseconds.
const replication = (nodes: number): Record<string, string> => {
  const [replicas, inSync] = nodes >= 3 ? ['3', '2'] : ['1', '1']
  return {
    'default.replication.factor': replicas,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': String(internalPartitions),
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': String(internalPartitions),
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'share.coordinator.state.topic.num.partitions': '1',
  }
}

/**
 * The nodes that are controllers too. Three vote, so that any one may be missing. Two could decide nothing without each
 * other, so there the first decides alone, and the second may be missing.
 */
const votersOf = (nodes: readonly NodeSettings[]): readonly NodeSettings[] =>
  nodes.slice(0, nodes.length >= 3 ? 3 : 1)

/** The lines of one node of a cluster of `nodes`. */
export const nodeSettings = (
  node: NodeSettings,
  nodes: readonly NodeSettings[],
): Readonly<Record<string, string>> => {
  const { listeners, controllerPort, controllerProtocol } = node
  const voters = votersOf(nodes)
  const votes = voters.includes(node)
  const list = (render: (listener: ListenerSettings) => string): string => listeners.map(render).join(',')
  return {
    'process.roles': votes ? 'broker,controller' : 'broker',
    'node.id': String(node.nodeId),
    'controller.quorum.voters': voters.map((one) => `${one.nodeId}@${host}:${one.controllerPort}`).join(','),
    'controller.listener.names': controllerListener,
    listeners: `${list(({ name, port }) => `${name}://${host}:${port}`)}${votes ? `,${controllerListener}://${host}:${controllerPort}` : ''}`,
    'advertised.listeners': list(({ name, advertisedPort }) => `${name}://${host}:${advertisedPort}`),
    'listener.security.protocol.map': `${list(({ name, protocol }) => `${name}:${protocol}`)},${controllerListener}:${controllerProtocol}`,
    'inter.broker.listener.name': listeners[0].name,
    'log.dirs': node.logDirectory,
    ...replication(nodes.length),
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000', // a killed consumer's partitions are given up sooner than Kafka's 6 s
    'auto.create.topics.enable': 'false',
    'log.cleaner.dedupe.buffer.size': '16777216', // of the heap; the default takes 128 MB
  }
}

/** As Java reads them. */
export const properties = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n`)
    .join('')
