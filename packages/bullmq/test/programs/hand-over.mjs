// A handler of events for tests that kill it: mark, row and job of each event, as a consumer in inbox mode does it.
// Argument: JSON { url, redisUrl, queue, source, ids }
import { handOver } from '@oncebox/bullmq'
import { fromPg } from '@oncebox/outbox'
import { Queue } from 'bullmq'
import pg from 'pg'

const { url, redisUrl, queue: name, source, ids } = JSON.parse(process.argv[2])
const { hostname: host, port } = new URL(redisUrl)
const queue = new Queue(name, { connection: { host, port: Number(port) } })
const pool = new pg.Pool({ connectionString: url, max: 1 })

for (const id of ids) {
  await fromPg(pool).transaction(async (tx) => {
    const { rowCount } = await tx.query('insert into marks values ($1) on conflict do nothing', [id])
    if (rowCount === 0) return
    await tx.query('insert into mails_to_send values ($1)', [id])
    await handOver(
      queue,
      { source, id },
      { name: 'mail', data: { to: id }, redelivery: { topicRetentionMs: 60_000, segmentMs: 0 } },
    )
  })
}
await queue.close()
await pool.end()
