/** A short program on Apache's classes, in a JVM of its own. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { AuditError } from './audit-error.js'

export interface JavaProgram {
  /** What goes after `java -cp`: the jars of kafka_2.13 and kafka-tools. */
  readonly classpath: string
  /** The path of a source file, which Java compiles as it starts. */
  readonly source: string
  readonly arguments: readonly string[]
  readonly signal?: AbortSignal
}

const log4j = fileURLToPath(new URL('../java/log4j2.properties', import.meta.url))

/** For a program that lives for seconds, compiling well costs more than it gains. */
export const javaOptions = [
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  '-Xshare:auto',
  '-Xmx256m',
  `-Dlog4j2.configurationFile=${log4j}`,
]

export const javaCommand = (): string => {
  const home = process.env['JAVA_HOME']
  return home === undefined || home === '' ? 'java' : path.join(home, 'bin', 'java')
}

/** How much is kept of what a program complains of: the end. */
export const complaintsBytesMax = 4_000

/** Resolves with everything it wrote to standard output; rejects when it ends badly. */
export async function runJavaProgram({
  classpath,
  source,
  arguments: programArguments,
  signal,
}: JavaProgram): Promise<Buffer> {
  const child = spawn(javaCommand(), [...javaOptions, '-cp', classpath, source, ...programArguments], {
    stdio: ['ignore', 'pipe', 'pipe'],
    killSignal: 'SIGKILL',
    ...(signal === undefined ? {} : { signal }),
  })
  const written: Buffer[] = []
  let complaints = ''
  child.stdout.on('data', (chunk: Buffer) => written.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-complaintsBytesMax)
  })
  return await new Promise((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        signal?.aborted === true
          ? cause
          : new AuditError(`${source} does not run: ${cause.message}`, { cause }),
      ),
    )
    child.once('close', (code, killedBy) => {
      if (code === 0) resolve(Buffer.concat(written))
      else
        reject(
          new AuditError(`${source} ended with ${killedBy ?? `exit code ${code}`}\n${complaints.trim()}`),
        )
    })
  })
}
