import { parseArgs } from 'node:util'
import { connectKafka, startFetching, type ConsumedRecord } from '@oncebox/kafka'
import { ReadingClock, readingDrain } from './drain.js'

// `--headers`: looks at those too, as a consumer of events does. kafkajs makes objects of them whether anybody looks or not.
const { headers: looksAtHeaders = false } = parseArgs({
  options: { headers: { type: 'boolean' } } as const,
}).values
const drain = readingDrain()
const clock = new ReadingClock(drain)
const client = await connectKafka({ brokers: drain.brokers })
const loop = startFetching(client, {
  onBatch: async ({ records }) => clock.add(records.length, bytesOf(records)),
  onHalted: (_at, error) => {
    throw error
  },
})
loop.assign(
  Array.from({ length: drain.partitions }, (_, partition) => ({ topic: drain.topic, partition, offset: 0n })),
)
await clock.end
await loop.stop()
await client.close()

function bytesOf(records: readonly ConsumedRecord[]): number {
  let bytes = 0
  for (const record of records) {
    bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
    if (looksAtHeaders) for (const [name, header] of record.headers) bytes += name.length + header.length
  }
  return bytes
}
