import { fileURLToPath } from 'node:url'
import { javaCommand } from './java.js'
import { newerNode } from '@internal/stack'

/** A Kafka client under measurement: a program that sends what its environment says and reports. */
export interface Client {
  readonly name: ClientName
  readonly program: string
  readonly arguments: readonly string[]
}

export type ClientName = 'ours' | 'ours, one at a time' | 'ours, one id' | 'java' | 'kafkajs' | 'platformatic'

interface ClientsOptions {
  /** What goes after `java -cp`. */
  readonly classpath: string
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** Those that run on this machine. */
export async function clients({ classpath, say, signal }: ClientsOptions): Promise<readonly Client[]> {
  const node = process.execPath
  const found: Client[] = [
    { name: 'ours', program: node, arguments: [script('ours'), '--ahead'] },
    { name: 'ours, one at a time', program: node, arguments: [script('ours')] },
    { name: 'ours, one id', program: node, arguments: [script('ours'), '--single'] },
    { name: 'java', ...javaCommand('TransactionalDrain.java', classpath) },
    { name: 'kafkajs', program: node, arguments: [script('kafkajs')] },
  ]
  try {
    found.push({
      name: 'platformatic',
      program: await newerNode(signal),
      arguments: [script('platformatic')],
    })
  } catch (error) {
    if (signal.aborted) throw error
    say(`platformatic is left out: no Node that it runs on (${String(error)})`)
  }
  return found
}

const script = (client: string): string =>
  fileURLToPath(new URL(`./drain-with-${client}.js`, import.meta.url))
