import { runCommand, type CommandOptions } from '../run-command.js'
import type { KafkaRuntime } from './kafka-runtime.js'

/** Runs one of Apache's own command line tools to its end; rejects with a CommandError. */
export const runKafkaTool = (
  { java, toolOptions, classpath }: KafkaRuntime,
  mainClass: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> => runCommand(java, [...toolOptions, '-cp', classpath, mainClass, ...args], options)
