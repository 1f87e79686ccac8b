/** The Java that runs Kafka. */
import path from 'node:path'
import { CommandError, runCommand } from '../run-command.js'
import { StackError } from '../stack-error.js'

const oldest = 17

/** The `java` program of JAVA_HOME, else of PATH. */
export const javaProgram = (): string => {
  const home = process.env['JAVA_HOME']
  return home === undefined || home === '' ? 'java' : path.join(home, 'bin', 'java')
}

/** Throws a StackError that says what to install, unless there is a Java that runs Kafka 4. */
export const requireJava = async (signal?: AbortSignal): Promise<void> => {
  const java = javaProgram()
  let output: string
  try {
    output = await runCommand(java, ['-version'], { signal })
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause
    throw new StackError('STACK_JAVA_MISSING', `Kafka needs Java ${oldest} or newer, and \`${java}\` does not run`, { cause })
  }
  const major = Number(/version "(?:1\.)?(\d+)/.exec(output)?.[1] ?? 0)
  if (major >= oldest) return
  throw new StackError('STACK_JAVA_MISSING', `Kafka needs Java ${oldest} or newer, and \`${java}\` is Java ${major}`)
}
