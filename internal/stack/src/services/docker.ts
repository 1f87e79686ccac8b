/** The same services as containers, for machines where the embedded ones cannot run. Testcontainers is loaded only then. */
import { freePort } from '../free-port.js'
import type { Say } from '../progress.js'
import { defaultKafkaVersion, kafkaReleases } from './kafka-releases.js'

/** One started container; its reaper ends it with us. */
export interface Container<T> {
  readonly service: T
  destroy(): Promise<void>
}

/** True when an engine answers. */
export const isDockerRunning = async (): Promise<boolean> => {
  try {
    const { getContainerRuntimeClient } = await import('testcontainers')
    await getContainerRuntimeClient()
    return true
  } catch {
    return false
  }
}

const settingsOf = (settings: Readonly<Record<string, string>>): string[] =>
  Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])

/** PostgreSQL with the settings of the embedded server that matter to tests. */
export const startPostgresContainer = async (say: Say): Promise<Container<{ url: string; port: number }>> => {
  const { GenericContainer, Wait } = await import('testcontainers')
  say('starting postgres:18 in Docker ...')
  const settings = {
    wal_level: 'logical',
    max_connections: '300',
    max_prepared_transactions: '50',
    max_wal_size: '4GB',
  }
  const container = await new GenericContainer('postgres:18')
    .withEnvironment({ POSTGRES_HOST_AUTH_METHOD: 'trust' })
    .withCommand(['postgres', ...settingsOf(settings)])
    .withExposedPorts(5432)
    // The image starts the server twice: once to set the cluster up, then for good.
    .withWaitStrategy(Wait.forLogMessage(/database system is ready to accept connections/, 2))
    .start()
  const port = container.getMappedPort(5432)
  const url = `postgres://postgres@${container.getHost()}:${port}/postgres`
  return { service: { url, port }, destroy: () => container.stop().then(() => undefined) }
}

/** Kafka on a port chosen before the start, since the broker must tell its clients which one it is. */
export const startKafkaContainer = async (say: Say): Promise<Container<{ brokers: readonly string[] }>> => {
  const { GenericContainer, Wait, getContainerRuntimeClient } = await import('testcontainers')
  const image = `apache/kafka:${kafkaReleases[defaultKafkaVersion].version}`
  say(`starting ${image} in Docker ...`)
  const port = await freePort()
  const broker = `${(await getContainerRuntimeClient()).info.containerRuntime.host}:${port}`
  const container = await new GenericContainer(image)
    .withEnvironment({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LISTENERS: 'PLAINTEXT://:9092,CONTROLLER://:9093',
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://${broker}`,
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
    })
    .withExposedPorts({ container: 9092, host: port })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .start()
  return { service: { brokers: [broker] }, destroy: () => container.stop().then(() => undefined) }
}

/** Redis that acknowledges nothing that it has not written to disk. */
export const startRedisContainer = async (say: Say): Promise<Container<{ url: string }>> => {
  const { GenericContainer, Wait } = await import('testcontainers')
  say('starting redis:7 in Docker ...')
  const container = await new GenericContainer('redis:7')
    .withCommand(['redis-server', '--appendonly', 'yes', '--appendfsync', 'always'])
    .withExposedPorts(6379)
    .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/))
    .start()
  const url = `redis://${container.getHost()}:${container.getMappedPort(6379)}`
  return { service: { url }, destroy: () => container.stop().then(() => undefined) }
}
