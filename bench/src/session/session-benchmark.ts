import { createTopic, randomName, startStack, type Stack } from '@internal/stack'
import type { Benchmark } from '../benchmark.js'
import { outputOf } from '../child-output.js'
import { describeDrained, type Drained } from '../drained.js'
import { wholeNumber } from '../whole-number.js'
import { clients, type Client } from './client.js'
import { compressionNamed } from './compression.js'
import { toEnvironment, type SessionDrain } from './drain.js'
import { judge } from './judge.js'
import { Samples } from './samples.js'
import { transactionSizes, type TransactionSize } from './transaction-size.js'

/** The same transactions, from one event to ten thousand, by our session and by other transactional producers, in turn. */
export const sessionBenchmark: Benchmark = {
  name: 'session',
  summary: "transactions of 1 to 10,000 events, next to Java's producer, kafkajs and @platformatic/kafka",
  async run(options) {
    const { say, signal } = options
    const sizes = transactionSizes(wholeNumber(options, 'events', 400_000))
    const rounds = wholeNumber(options, 'rounds', 3)
    const compression = compressionNamed(options.values['compression'] ?? 'none')
    await using stack = await startStack({
      services: ['kafka'],
      signal,
      onProgress: (part, line) => say(`${part}: ${line}`),
    })
    const field = await clients({ classpath: stack.kafka.classpath, say, signal })
    const samples = new Samples()
    for (let round = 1; round <= rounds; round++)
      for (const size of sizes) {
        const name = `round ${round}, ${size.eventsPerTransaction.toLocaleString('en')} a transaction`
        await heat(rotated(field, round - 1), size, { stack, compression, signal }, (client, drained) => {
          samples.add(client.name, size.eventsPerTransaction, drained)
          say(`${name}: ${client.name.padEnd(nameWidth)} ${describeDrained(drained)}`)
        })
      }
    return samples.figures()
  },
}

const partitions = 6
const nameWidth = 'ours, one at a time'.length

/** Everybody has been first, in the middle and last after as many rounds as there are clients. */
const rotated = <Item>(items: readonly Item[], by: number): readonly Item[] =>
  items.map((_, index) => items[(index + by) % items.length]).filter((item) => item !== undefined)

interface Ground {
  readonly stack: Stack
  readonly compression: SessionDrain['compression']
  readonly signal: AbortSignal
}

/** Every client once with one size, each on a topic of its own; what they say counts when the judge agrees. */
async function heat(
  field: readonly Client[],
  size: TransactionSize,
  { stack, compression, signal }: Ground,
  finished: (client: Client, drained: Drained) => void,
): Promise<void> {
  const { brokers, classpath } = stack.kafka
  const events = new Map<string, number>()
  const reports: (readonly [Client, Drained])[] = []
  for (const client of field) {
    const topic = await createTopic('bench', { partitions, brokers })
    const output = await outputOf({
      ...client,
      environment: toEnvironment({ ...size, brokers, topic, name: randomName('bench'), compression }),
      signal,
    })
    events.set(topic, size.warmUpEvents + size.events)
    reports.push([client, JSON.parse(output) as Drained])
  }
  await judge({ classpath, brokers, events, signal })
  for (const [client, drained] of reports) finished(client, drained)
}
