/** A short program on Apache's classes, in a JVM of its own. */
import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { cached, digest, runCommand } from '@internal/stack'
import { AuditError } from './audit-error.js'

export interface JavaProgram {
  /** What goes after `java -cp`: the jars of kafka_2.13 and kafka-tools. */
  readonly classpath: string
  /** The path of a source file, named as its class. */
  readonly source: string
  readonly arguments: readonly string[]
  readonly signal?: AbortSignal
}

const log4j = fileURLToPath(new URL('../java/log4j2.properties', import.meta.url))

/** For a program that lives for seconds, compiling well costs more than it gains. */
const javaOptions = [
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

/** What Java is told to run a program with. */
export async function javaRuns(source: string, classpath: string): Promise<readonly string[]> {
  const classes = await compiled(source, classpath)
  const { name } = path.parse(source)
  return [...javaOptions, '-cp', [classpath, classes].join(path.delimiter), name]
}

let version: Promise<string> | undefined

/** The folder with the classes of a source file: compiled at each start, they would cost a second of processor time. */
async function compiled(source: string, classpath: string): Promise<string> {
  const about = `${await (version ??= runCommand(javaCommand(), ['-version']))}${classpath}`
  const name = `java-${path.parse(source).name}-${digest(about + (await readFile(source, 'utf8')))}`
  return await cached(name, async (directory) => {
    const folder = path.dirname(classpath) // a classpath of all its jars, which only a launcher knows how to read
    const jars = (await readdir(folder)).map((jar) => path.join(folder, jar))
    const javac = ['-m', 'jdk.compiler/com.sun.tools.javac.Main']
    await runCommand(javaCommand(), [...javac, '-cp', jars.join(path.delimiter), '-d', directory, source])
  })
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
  const child = spawn(javaCommand(), [...(await javaRuns(source, classpath)), ...programArguments], {
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
