// A start as a relay's: a session with its claim, then the last position before it; says how long that took, in ms. The fastest
// of five: the first also waits for the broker to set up, and whatever else runs on this machine only makes it slower.
// Argument: JSON { brokers, topic }
import { connectKafka, openSession, readLastValue } from '@oncebox/kafka'

const { brokers, topic } = JSON.parse(process.argv[2])
const client = await connectKafka({ brokers })
const key = Buffer.from('position')
let fastest
for (let start = 0; start < 5; start++) {
  const since = performance.now()
  const session = await openSession(client, {
    transactionalIds: [`${topic}:a`, `${topic}:b`],
    claim: { topic, partition: 0, key: Buffer.from('claim'), value: Buffer.from('claim') },
  })
  const openedMs = performance.now() - since
  const found = await readLastValue(client, { topic, partition: 0, key, beforeOffset: session.claimOffset })
  const ms = performance.now() - since
  await session.close()
  if (fastest === undefined || ms < fastest.ms) fastest = { ms, openedMs, offset: String(found?.offset) }
}
await client.close()
console.log(JSON.stringify(fastest))
