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
 * Counts what Apache's consumer reads, read_committed, and throws unless it is what was sent, and the same bytes in
 * every topic: a client that loses or doubles records is not fast, nor one that had less to send. Then deletes the topics, as gigabytes of them would slow the broker down.
 */
export async function judge({ classpath, brokers, events, signal }: Judged): Promise<void> {
  const java = javaCommand('CommittedCount.java', classpath)
  const output = await outputOf({
    name: 'CommittedCount',
    program: java.program,
    arguments: [...java.arguments, brokers.join(','), ...events.keys()],
    signal,
  })
  const seen = new Map(
    output
      .trim()
      .split('\n')
      .map((line) => {
        const [topic = '', count, sum] = line.split(' ')
        return [topic, { count: Number(count), sum }]
      }),
  )
  for (const [topic, sent] of events)
    if (seen.get(topic)?.count !== sent)
      throw new Error(`${topic}: ${sent} events were sent, ${seen.get(topic)?.count ?? 'none'} are committed`)
  const sums = new Set(Array.from(seen.values(), ({ sum }) => sum))
  if (sums.size > 1)
    throw new Error(`${[...seen.keys()].join(', ')}: the clients did not send the same bytes`)
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
