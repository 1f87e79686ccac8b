// A process for tests that kill it: handles the events once each, waits out claims of the dead, says each outcome.
// Argument: JSON { url, consumer, form, leaseMs, source, ids, effects }
import { createRedisDedup } from '@oncebox/consumer-dedup/redis'
import { Redis } from 'ioredis'
import { setTimeout as sleep } from 'node:timers/promises'

const { url, consumer, form, leaseMs, source, ids, effects } = JSON.parse(process.argv[2])
const redis = new Redis(url)
const dedup = createRedisDedup({ redis, consumer, leaseMs, retentionMs: 3_600_000, onAmnesia: 'stop' })

for (const id of ids) console.log(`${id} ${await handle({ source, id })}`)
await redis.quit()

async function handle(event) {
  for (;;) {
    try {
      if (form === 'in-redis')
        return await dedup.onceInRedis(event, {
          keys: [effects, `${effects}:log`],
          commands: [
            ['hincrby', effects, event.id, 1],
            ['rpush', `${effects}:log`, event.id],
          ],
        })
      return await dedup.once(event, () => redis.rpush(effects, event.id))
    } catch (error) {
      if (error.code !== 'CONSUMER_CLAIM_HELD') throw error
      await sleep(error.details.remainingMs)
    }
  }
}
