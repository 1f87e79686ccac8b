/** JVMs: for a short program on Apache's classes, or for one of Apache's own. */
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

/** A JVM at work. */
export interface RunningJava {
  /** Asks it to finish what it has begun to write and to leave. */
  end(): void
  /** Everything it wrote to standard output. Rejects when it ended badly without having been asked to. */
  readonly output: Promise<Buffer>
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

/** How much is kept of what a program complains of: the end. */
export const complaintsBytesMax = 4_000

/** Resolves with everything it wrote to standard output; rejects when it ends badly. */
export async function runJavaProgram({
  classpath,
  source,
  arguments: programArguments,
  signal,
}: JavaProgram): Promise<Buffer> {
  const classes = await compiled(source, classpath)
  const { name } = path.parse(source)
  return await startJava([classpath, classes], [name, ...programArguments], signal).output
}

/** Starts a JVM for a class and its arguments. */
export function startJava(
  classpath: readonly string[],
  program: readonly string[],
  signal?: AbortSignal,
): RunningJava {
  const [name = ''] = program
  const child = spawn(javaCommand(), javaArguments(classpath, program), {
    stdio: ['ignore', 'pipe', 'pipe'],
    killSignal: 'SIGKILL',
    ...(signal === undefined ? {} : { signal }),
  })
  const written: Buffer[] = []
  let complaints = ''
  let asked = false
  child.stdout.on('data', (chunk: Buffer) => written.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-complaintsBytesMax)
  })
  const output = new Promise<Buffer>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(
        signal?.aborted === true
          ? cause
          : new AuditError(`${name} does not run: ${cause.message}`, { cause }),
      ),
    )
    child.once('close', (code, killedBy) => {
      if (code === 0 || asked) return resolve(Buffer.concat(written))
      reject(new AuditError(`${name} ended with ${killedBy ?? `exit code ${code}`}\n${complaints.trim()}`))
    })
  })
  const end = (): void => {
    asked = true
    child.kill('SIGTERM') // its shutdown hook lets the record in hand be written
  }
  return { end, output }
}

export const javaArguments = (classpath: readonly string[], program: readonly string[]): string[] => [
  ...javaOptions,
  '-cp',
  classpath.join(path.delimiter),
  ...program,
]

let modules: Promise<string> | undefined

/** The modules that this Java has, with their version. */
const javaModules = (): Promise<string> => (modules ??= runCommand(javaCommand(), ['--list-modules']))

/** A runtime alone has none. */
export const hasCompiler = async (): Promise<boolean> => (await javaModules()).includes('jdk.compiler')

/** The folder with the classes of a source file: compiled at each start, they would cost a second of processor time. */
export async function compiled(source: string, classpath: string): Promise<string> {
  const about = `${await javaModules()}${classpath}${await readFile(source, 'utf8')}`
  return await cached(`java-${path.parse(source).name}-${digest(about)}`, async (directory) => {
    const folder = path.dirname(classpath) // a classpath of all its jars, which only a launcher knows how to read
    const jars = (await readdir(folder)).map((jar) => path.join(folder, jar))
    const javac = ['-m', 'jdk.compiler/com.sun.tools.javac.Main']
    await runCommand(javaCommand(), [...javac, '-cp', jars.join(path.delimiter), '-d', directory, source])
  })
}
