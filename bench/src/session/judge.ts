import { Kafka, logLevel } from 'kafkajs'
import { outputOf } from '../child-output.js'
import { javaCommand } from './java.js'

export interface Judged {
  readonly classpath: string
  readonly brokers: readonly string[]
  /** How many events each topic must hold. */
  readonly events: ReadonlyMap<string, number>
  readonly signal: AbortSignal
}

/**
 * Counts what Apache's consumer reads, read_committed, and throws unless it is what was sent: a client that loses or
 * doubles records is not fast. Then deletes the topics, as gigabytes of them would slow the broker down.
 */
export async function judge({ classpath, brokers, events, signal }: Judged): Promise<void> {
  const java = javaCommand('CommittedCount.java', classpath)
  const output = await outputOf({
    name: 'CommittedCount',
    program: java.program,
    arguments: [...java.arguments, brokers.join(','), ...events.keys()],
    signal,
  })
  const counted = new Map(
    output
      .trim()
      .split('\n')
      .map((line) => {
        const [topic = '', count] = line.split(' ')
        return [topic, Number(count)]
      }),
  )
  for (const [topic, sent] of events)
    if (counted.get(topic) !== sent)
      throw new Error(`${topic}: ${sent} events were sent, ${counted.get(topic) ?? 'none'} are committed`)
  await deleteTopics(brokers, [...events.keys()])
}

async function deleteTopics(brokers: readonly string[], topics: string[]): Promise<void> {
  const admin = new Kafka({ clientId: 'bench', brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    await admin.deleteTopics({ topics })
  } finally {
    await admin.disconnect()
  }
}
