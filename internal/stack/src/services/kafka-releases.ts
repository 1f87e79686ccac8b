/** The Kafka releases that a broker can be started with: the default, and the last one that speaks transactions v1 only. */
import { fileURLToPath } from 'node:url'

/** A release line; which patch of it stands in its pom. */
export type KafkaVersion = '4.3' | '3.9'

export interface KafkaRelease {
  /** Of its jars, as in the pom. */
  readonly version: string
  readonly pom: string
  /** The bridge from slf4j to whatever it logs with: without it nothing is written, and no start is noticed. */
  readonly loggingJar: string
  readonly loggingOption: string
}

/** A file that ships with this package in its folder `kafka`. */
const kafkaFile = (name: string): string => fileURLToPath(new URL(`../../kafka/${name}`, import.meta.url))

export const defaultKafkaVersion: KafkaVersion = '4.3'

export const kafkaReleases: Readonly<Record<KafkaVersion, KafkaRelease>> = {
  '4.3': {
    version: '4.3.1',
    pom: kafkaFile('4.3/pom.xml'),
    loggingJar: 'log4j-slf4j-impl-2.25.4.jar',
    loggingOption: `-Dlog4j2.configurationFile=${kafkaFile('4.3/log4j2.properties')}`,
  },
  '3.9': {
    version: '3.9.2',
    pom: kafkaFile('3.9/pom.xml'),
    loggingJar: 'slf4j-reload4j-1.7.36.jar',
    loggingOption: `-Dlog4j.configuration=file:${kafkaFile('3.9/log4j.properties')}`,
  },
}
