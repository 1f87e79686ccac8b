/** How each service is had: embedded, else from a running Docker engine. */
import type { StackAddresses } from '../environment.js'
import type { Say } from '../progress.js'
import { StackError } from '../stack-error.js'
import {
  isDockerRunning,
  startKafkaContainer,
  startPostgresContainer,
  startRedisContainer,
} from './docker.js'
import { kafkaClasspath } from './kafka-jars.js'
import { startKafkaNodes } from './kafka-nodes.js'
import { kafkaRuntime } from './kafka-runtime.js'
import { PostgresServer } from './postgres-server.js'
import { startRedisServer } from './redis-server.js'

export interface Started<T> {
  readonly service: T
  destroy(): Promise<void>
}

/** Starts one service; whatever it writes lies in `directory`. */
export interface Source<T> {
  (request: { directory: string; say: Say; signal: AbortSignal }): Promise<Started<T>>
}

type Kafka = NonNullable<StackAddresses['kafka']>

/** The embedded service; a Docker engine's where that cannot run; and if there is none, the reason why not embedded. */
const either =
  <T>(embedded: Source<T>, container: (say: Say) => Promise<Started<T>>): Source<T> =>
  async (request) => {
    try {
      return await embedded(request)
    } catch (error) {
      if (!StackError.is(error) || request.signal.aborted || !(await isDockerRunning())) throw error
      return await container(request.say)
    }
  }

export const postgresSource = either(async (request) => {
  const server = await PostgresServer.create(request)
  return { service: { url: server.url, port: server.port }, destroy: () => server.destroy() }
}, startPostgresContainer)

export const kafkaSource = either<Kafka>(async (request) => {
  const runtime = await kafkaRuntime(request.say, request.signal)
  const brokers = await startKafkaNodes({ ...request, runtime })
  return {
    service: { brokers: brokers.map(({ address }) => address), classpath: runtime.classpath },
    destroy: async () => void (await Promise.all(brokers.map((broker) => broker.destroy()))),
  }
}, startKafkaContainer)

export const redisSource = either(async (request) => {
  const server = await startRedisServer(request)
  return { service: { url: server.url }, destroy: () => server.destroy() }
}, startRedisContainer)

/** Apache's tools for a broker that somebody else runs. Where they cannot be had, whoever reads `classpath` is told. */
export const withClasspath = async (kafka: Kafka, say: Say, signal: AbortSignal): Promise<Kafka> => {
  if (kafka.classpath !== undefined) return kafka
  const classpath = await kafkaClasspath(say, signal).catch(() => undefined)
  return { brokers: kafka.brokers, ...(classpath !== undefined && { classpath }) }
}
