/** What a Kafka process is started with: Java, the jars, and the options that make it start fast. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { cached, digest } from '../cache.js'
import type { Say } from '../progress.js'
import { theLifeline } from '../lifeline.js'
import { randomName } from '../random-name.js'
import { requireJava } from './java.js'
import { kafkaClasspath } from './kafka-jars.js'
import { startKafkaNodes } from './kafka-nodes.js'
import { defaultKafkaVersion, kafkaReleases, type KafkaVersion } from './kafka-releases.js'

export interface KafkaRuntime {
  /** The `java` program. */
  readonly java: string
  readonly classpath: string
  readonly brokerOptions: readonly string[]
  /** For Kafka's own tools, which live for a second. */
  readonly toolOptions: readonly string[]
}

// A broker gets on with less memory than it would take; its pauses are what a latency measurement would see.
const brokerOptions = [
  '-Xms256m',
  '-Xmx700m',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-Djava.awt.headless=true',
]
// For programs that live for a second, compiling well costs more than it gains.
const toolOptions = ['-XX:TieredStopAtLevel=1']

/**
 * Java's archive of Kafka's loaded classes: a broker is ready in 2.1 s instead of 3.1 s, formatting takes 0.5 s instead
 * of 1.0 s. It comes out of a trial run, and belongs to one Java and one set of jars; any other Java ignores it.
 */
const classArchive = async (
  runtime: KafkaRuntime,
  javaVersion: string,
  say: Say,
  signal?: AbortSignal,
): Promise<string> => {
  const name = `kafka-classes-${digest(javaVersion + runtime.classpath)}`
  const entry = await cached(
    name,
    async (directory) => {
      say('trial run, so that later starts are fast (once) ...')
      const archive = path.join(directory, 'kafka.jsa')
      const trial = {
        ...runtime,
        brokerOptions: [...runtime.brokerOptions, `-XX:ArchiveClassesAtExit=${archive}`],
      }
      const trialDirectory = path.join(theLifeline().runDirectory, randomName('trial'))
      const brokers = await startKafkaNodes({
        directory: trialDirectory,
        runtime: trial,
        say: () => undefined,
        signal,
      })
      await Promise.all(brokers.map((broker) => broker.stop()))
      await rm(trialDirectory, { recursive: true, force: true })
    },
    signal,
  )
  return path.join(entry, 'kafka.jsa')
}

/** Finds Java and downloads Kafka when first needed. */
export const kafkaRuntime = async (
  say: Say,
  signal?: AbortSignal,
  kafkaVersion: KafkaVersion = defaultKafkaVersion,
): Promise<KafkaRuntime> => {
  const { program, version } = await requireJava(signal)
  const classpath = await kafkaClasspath(say, signal, kafkaVersion)
  const { loggingOption } = kafkaReleases[kafkaVersion]
  const plain: KafkaRuntime = {
    java: program,
    classpath,
    brokerOptions: [...brokerOptions, loggingOption],
    toolOptions: [...toolOptions, loggingOption],
  }
  const archive = `-XX:SharedArchiveFile=${await classArchive(plain, version, say, signal)}`
  return {
    ...plain,
    brokerOptions: [...plain.brokerOptions, archive],
    toolOptions: [...plain.toolOptions, archive],
  }
}
