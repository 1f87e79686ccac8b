import { parseArgs } from 'node:util'
import {
  connectKafka,
  encodeHeader,
  ensureProgressTopic,
  openSession,
  PartitionRecords,
  partitionForKey,
} from '@oncebox/kafka'
import { measure, sessionDrain } from './drain.js'
import { sharedHeaders, type SampleEvent } from './sample-event.js'

// `--ahead`: the next transaction is made and sent while one is undecided, as the relay does. Without: one at a time.
// `--single`: with one transactional id instead of two in turn.
const options = { ahead: { type: 'boolean' }, single: { type: 'boolean' } } as const
const { ahead = false, single = false } = parseArgs({ options }).values
const drain = sessionDrain()
const client = await connectKafka({ brokers: drain.brokers })
const progress = `${drain.name}-progress`
await ensureProgressTopic(client, { topic: progress, partitions: 1 })
const session = await openSession(client, {
  transactionalIds: single ? [`${drain.name}:a`] : [`${drain.name}:a`, `${drain.name}:b`],
  claim: { topic: progress, partition: 0, key: Buffer.from('claim'), value: Buffer.from('claim') },
})
const { partitions, maxMessageBytes } = await client.describeTopic(drain.topic)
const recordsOptions = { maxMessageBytes, compression: drain.compression }
const shared = Buffer.concat(Object.entries(sharedHeaders).map(([name, value]) => encodeHeader(name, value)))
const headerCount = Object.keys(sharedHeaders).length + 2

function records(events: readonly SampleEvent[]): readonly PartitionRecords[] {
  const timestampMs = Date.now()
  const byPartition = Array.from(
    { length: partitions },
    (_, partition) => new PartitionRecords(drain.topic, partition, recordsOptions),
  )
  for (const { source, key, id, time } of events)
    byPartition[partitionForKey(key, partitions)]?.append(
      timestampMs,
      source,
      0,
      key.length,
      key.length,
      source.length,
      headerCount,
      [shared, encodeHeader('ce_id', id), encodeHeader('ce_time', time)],
    )
  return byPartition
}

await measure(drain, async (transactions) => {
  let undecided: Promise<unknown> = Promise.resolve()
  for (const events of transactions) {
    const publishing = session.publish({ partitions: records(events) })
    // Of two that fail, the one ahead is awaited first, and the other must not count as unhandled meanwhile.
    publishing.catch(() => undefined)
    await undecided
    if (ahead) undecided = publishing
    else await publishing
  }
  await undecided
})
await session.close()
await client.close()
