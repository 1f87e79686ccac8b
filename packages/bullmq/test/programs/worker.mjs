// A worker for tests that kill it: sends a mail by appending to a list, and says when it has taken one over.
// Argument: JSON { redisUrl, queue, consumer, sent }; ends with SIGTERM
import { onceProcessor } from '@oncebox/bullmq'
import { createRedisDedup } from '@oncebox/consumer-dedup/redis'
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'

const { redisUrl, queue, consumer, sent } = JSON.parse(process.argv[2])
const { hostname: host, port } = new URL(redisUrl)
const redis = new Redis(redisUrl)
const dedup = createRedisDedup({ redis, consumer, leaseMs: 500, retentionMs: 3_600_000, onAmnesia: 'stop' })

const worker = new Worker(
  queue,
  onceProcessor(dedup, async (job, { event, takenOver }) => {
    await redis.rpush(sent, JSON.stringify({ id: event.id, to: job.data.to, takenOver }))
    return 'sent'
  }),
  { connection: { host, port: Number(port) }, lockDuration: 500, stalledInterval: 250, maxStalledCount: 100 },
)
worker.on('error', (error) => console.error(error))
process.once('SIGTERM', () => void worker.close().then(() => redis.quit()))
