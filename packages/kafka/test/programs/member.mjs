// A member of a group in a process of its own, to be stopped. Says what it is told, one JSON line each; commits offset 7
// when it reads a line on stdin. Argument: JSON { brokers, groupId, topic, sessionTimeoutMs }
import { createInterface } from 'node:readline'
import { connectKafka, joinGroup } from '@oncebox/kafka'

const { brokers, groupId, topic, sessionTimeoutMs } = JSON.parse(process.argv[2])
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`)
const client = await connectKafka({ brokers })
let first
const member = joinGroup(client, {
  groupId,
  topics: [topic],
  sessionTimeoutMs,
  heartbeatIntervalMs: 200,
  onAssigned: async (assignment) => {
    const { metadata, partitions, lost } = assignment
    first ??= assignment
    lost.addEventListener('abort', () => say({ lost: metadata.generationId, reason: lost.reason.message }))
    say({ generationId: metadata.generationId, memberId: metadata.memberId, partitions: partitions.length })
  },
  onFailed: (error) => say({ failed: error.code }),
})
const lines = createInterface({ input: process.stdin })
for await (const _line of lines) {
  const outcome = await first.commitOffsets([{ topic, partition: 0, offset: 7n }]).then(
    () => 'committed',
    (error) => error.code,
  )
  say({ outcome })
}
await member.leave()
await client.close()
