/** One of Apache Kafka's own command line tools, or a short program on Apache's classes, run in a JVM of its own. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { AuditError } from './audit-error.js'

export interface JavaTool {
  /** What goes after `java -cp`: the jars of kafka_2.13 and kafka-tools. */
  readonly classpath: string
  /** Or the path of a source file, which Java compiles as it starts. */
  readonly mainClass: string
  readonly arguments: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/** A tool at work: `end()` asks it to finish what it has begun to write and to leave. */
export interface RunningJavaTool {
  end(): void
  /** Everything it wrote to standard output. Rejects when it ended badly without having been asked to. */
  readonly output: Promise<Buffer>
}

const errorTailBytes = 4_000
const log4j = fileURLToPath(new URL('../java/log4j2.properties', import.meta.url))
// For a program that lives for seconds, compiling well costs more than it gains.
const javaOptions = [
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  '-Xshare:auto',
  '-Xmx256m',
  `-Dlog4j2.configurationFile=${log4j}`,
]

const javaProgram = (): string => {
  const home = process.env['JAVA_HOME']
  return home === undefined || home === '' ? 'java' : path.join(home, 'bin', 'java')
}

/** Starts a tool. */
export function startJavaTool(tool: JavaTool): RunningJavaTool {
  const child = spawn(
    javaProgram(),
    [...javaOptions, '-cp', tool.classpath, tool.mainClass, ...tool.arguments],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      killSignal: 'SIGKILL',
      ...(tool.signal === undefined ? {} : { signal: tool.signal }),
    },
  )
  const written: Buffer[] = []
  let complaints = ''
  let asked = false
  child.stdout.on('data', (chunk: Buffer) => written.push(chunk))
  child.stderr.on(
    'data',
    (chunk: Buffer) => (complaints = (complaints + chunk.toString()).slice(-errorTailBytes)),
  )
  const output = new Promise<Buffer>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        tool.signal?.aborted === true
          ? cause
          : new AuditError(`${tool.mainClass} does not run: ${cause.message}`, { cause }),
      ),
    )
    child.once('close', (code, signal) => {
      if (code === 0 || asked) resolve(Buffer.concat(written))
      else
        reject(
          new AuditError(
            `${tool.mainClass} ended with ${signal ?? `exit code ${code}`}\n${complaints.trim()}`,
          ),
        )
    })
  })
  const end = (): void => {
    asked = true
    child.kill('SIGTERM') // its shutdown hook lets the record in hand be written
  }
  return { end, output }
}
