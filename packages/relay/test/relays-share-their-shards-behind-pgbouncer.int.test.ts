import { expect, test } from 'vitest'
import { describeVerdict } from '@internal/audit'
import { sharedStack, startPrivatePgBouncer } from '@internal/stack'
import { createRelay, reshard } from '../src/index.js'
import { emitSteadily, setUp, startRelayProcess, untilSeen } from './bed.js'

// In transaction mode a server connection is somebody else's after each COMMIT: a lease that were a session's advisory
// lock, a SET, a prepared statement or a LISTEN would be lost, or another client's.
test('in transaction mode, with fewer server connections than clients, a killed relay is replaced and nothing lost or doubled', async () => {
  await using bouncer = await startPrivatePgBouncer({ serverUrl: sharedStack().postgres.url, poolSize: 2 })
  await using bed = await setUp()
  const db = { connectionString: bouncer.urlOf(bed.url) }
  const options = { ...bed.options, db }
  await reshard(options, { shards: 4 })
  const killed = startRelayProcess(bed, {
    env: { ONCEBOX_DATABASE_URL: db.connectionString },
    fault: 'relay.produce.acked@20:kill',
  })
  await killed.untilSaid('shard opened')
  await using relay = createRelay(options)
  const opened = untilSeen('relayOpened', bed.relayName)
  await relay.start()
  await opened
  await using writing = emitSteadily(bed)
  await killed.ended
  await expect.poll(() => relay.shards.length, { timeout: 30_000 }).toBe(4)
  await writing.more(50)
  await writing.stop()
  await expect.poll(async () => (await bed.published()).length, { timeout: 60_000 }).toBe(writing.events)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})
