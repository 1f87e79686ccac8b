/** The Java that runs Kafka. */
import path from 'node:path'
import { CommandError, runCommand } from '../run-command.js'
import { StackError } from '../stack-error.js'

const oldest = 17

/** The `java` program of JAVA_HOME, else of PATH. */
const javaProgram = (): string => {
  const home = process.env['JAVA_HOME']
  return home === undefined || home === '' ? 'java' : path.join(home, 'bin', 'java')
}

export interface Java {
  readonly program: string
  /** All that it says about itself; tells builds apart. */
  readonly version: string
}

/** The Java that runs Kafka 4; throws a StackError that says what to install where there is none. */
export const requireJava = async (signal?: AbortSignal): Promise<Java> => {
  const java = javaProgram()
  let output: string
  try {
    output = await runCommand(java, ['-version'], { signal })
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause
    throw new StackError(
      'STACK_JAVA_MISSING',
      `Kafka needs Java ${oldest} or newer, and \`${java}\` does not run`,
      { cause },
    )
  }
  const major = Number(/version "(?:1\.)?(\d+)/.exec(output)?.[1] ?? 0)
  if (major >= oldest) return { program: java, version: output }
  throw new StackError(
    'STACK_JAVA_MISSING',
    `Kafka needs Java ${oldest} or newer, and \`${java}\` is Java ${major}`,
  )
}
