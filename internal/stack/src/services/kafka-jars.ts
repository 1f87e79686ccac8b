/** Kafka's jars from Maven Central: the broker, and Apache's own tools as an outside judge of what it holds. */
import { copyFile, readFile, readdir, realpath, rm } from 'node:fs/promises'
import path from 'node:path'
import { cached, digest } from '../cache.js'
import type { Say } from '../progress.js'
import { CommandError, runCommand } from '../run-command.js'
import { StackError } from '../stack-error.js'
import { defaultKafkaVersion, kafkaReleases, type KafkaRelease, type KafkaVersion } from './kafka-releases.js'

// The version is named, so that Maven asks for this one and not for whatever is the default of its own version.
const copyGoal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
const jarsMin = 80
const jarsNeeded = ({ version, loggingJar }: KafkaRelease): string[] => [
  `kafka_2.13-${version}.jar`,
  `kafka-clients-${version}.jar`,
  `kafka-tools-${version}.jar`,
  loggingJar,
]

const download = async (
  release: KafkaRelease,
  directory: string,
  say: Say,
  signal: AbortSignal | undefined,
): Promise<void> => {
  say(`downloading Apache Kafka ${release.version} from Maven Central (once) ...`)
  await copyFile(release.pom, path.join(directory, 'pom.xml')) // Maven writes beside the pom
  try {
    await runCommand('mvn', ['-q', '-B', copyGoal, '-DoutputDirectory=lib'], { directory, signal })
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause
    if (cause.missing)
      throw new StackError(
        'STACK_MAVEN_MISSING',
        'Kafka is downloaded with Maven, and there is no `mvn` on PATH',
        { cause },
      )
    throw new StackError(
      'STACK_DOWNLOAD_FAILED',
      `Apache Kafka ${release.version} could not be downloaded\n${cause.output}\n`,
      { cause },
    )
  }
  await rm(path.join(directory, 'target'), { recursive: true, force: true })
  const jars = new Set(await readdir(path.join(directory, 'lib')))
  const absent = jarsNeeded(release).filter((jar) => !jars.has(jar))
  if (jars.size >= jarsMin && absent.length === 0) return
  throw new StackError(
    'STACK_DOWNLOAD_FAILED',
    `Maven copied ${jars.size} jars, of ${jarsMin} or more; absent: ${absent.join(', ') || 'none'}`,
  )
}

/** What goes after `java -cp`, downloaded when first needed. */
export const kafkaClasspath = async (
  say: Say,
  signal?: AbortSignal,
  version: KafkaVersion = defaultKafkaVersion,
): Promise<string> => {
  const release = kafkaReleases[version]
  const pom = await readFile(release.pom, 'utf8')
  const entry = await cached(
    `kafka-${release.version}-${digest(pom)}`,
    (directory) => download(release, directory, say, signal),
    signal,
  )
  return path.join(await realpath(entry), 'lib', '*') // one path for one set of jars, by which kafkaRuntime() names its archive
}
