/** PostgreSQL, Kafka and Redis for one run of tests, demo or benchmark: up together, and gone with the process that started them. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { readAddresses } from './environment.js'
import { theLifeline } from './lifeline.js'
import { progressToStderr, sayFor, type Progress } from './progress.js'
import { randomName } from './random-name.js'
import { asRunningStack, type RunningStack } from './running-stack.js'
import {
  kafkaSource,
  postgresSource,
  redisSource,
  withClasspath,
  type Source,
  type Started,
} from './services/sources.js'

export type ServiceName = 'postgres' | 'kafka' | 'redis'

/** A stack that this process has started. */
export interface Stack extends RunningStack, AsyncDisposable {
  /** Ends the services and deletes their files. Services named by environment variables are left alone. */
  stop(): Promise<void>
}

export interface StartStackOptions {
  /** All three unless named. */
  readonly services?: readonly ServiceName[]
  /** Take services that environment variables name instead of starting them; true unless said. */
  readonly reuse?: boolean
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: Progress
}

const valueOf = <T>(result: PromiseSettledResult<T>): T => {
  if (result.status === 'rejected') throw result.reason
  return result.value
}

/**
 * Starts the services that are asked for, all at once, and resolves when each accepts connections. Each comes from the
 * first that works: its environment variable, the embedded service, a running Docker engine.
 *
 * @example
 * await using stack = await startStack({ services: ['postgres', 'kafka'] })
 */
export const startStack = async (options: StartStackOptions = {}): Promise<Stack> => {
  const { services = ['postgres', 'kafka', 'redis'], reuse = true, onProgress = progressToStderr } = options
  const given = reuse ? readAddresses() : {}
  const directory = path.join(theLifeline().runDirectory, randomName('stack'))
  const failed = new AbortController()
  const signal =
    options.signal === undefined ? failed.signal : AbortSignal.any([failed.signal, options.signal])
  const started: Started<unknown>[] = []

  const start = async <T>(
    name: ServiceName,
    known: T | undefined,
    source: Source<T>,
  ): Promise<T | undefined> => {
    if (!services.includes(name)) return undefined
    const say = sayFor(onProgress, name)
    if (known !== undefined) {
      say('taken from the environment')
      return known
    }
    try {
      const one = await source({ directory: path.join(directory, name), say, signal })
      started.push(one)
      return one.service
    } catch (error) {
      failed.abort(error) // the others need not go on
      throw error
    }
  }
  const stop = async (): Promise<void> => {
    await Promise.all(started.splice(0).map((one) => one.destroy()))
    await rm(directory, { recursive: true, force: true })
  }

  const knownKafka = given.kafka && (await withClasspath(given.kafka, sayFor(onProgress, 'kafka'), signal))
  const results = await Promise.allSettled([
    start('postgres', given.postgres, postgresSource),
    start('kafka', knownKafka, kafkaSource),
    start('redis', given.redis, redisSource),
  ])
  if (signal.aborted) {
    await stop()
    throw signal.reason
  }
  const [postgres, kafka, redis] = [valueOf(results[0]), valueOf(results[1]), valueOf(results[2])]
  const addresses = {
    ...(postgres !== undefined && { postgres }),
    ...(kafka !== undefined && { kafka }),
    ...(redis !== undefined && { redis }),
  }
  // Not spread: the absent services' getters throw.
  return Object.assign(asRunningStack(addresses), { stop, [Symbol.asyncDispose]: stop })
}
