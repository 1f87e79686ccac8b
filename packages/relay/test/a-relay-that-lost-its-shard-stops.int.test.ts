import { expect, test } from 'vitest'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, startRelayProcess, untilPublished, untilSeen, untilStopped } from './bed.js'

test('a second relay with the same name stands by, and takes over when the first gives its shard back', async () => {
  await using bed = await setUp()
  await using first = createRelay(bed.options)
  await first.start()
  await using second = createRelay(bed.options)
  await second.start()
  expect([first.shards, second.shards]).toEqual([[0], []])
  const opened = untilSeen('relayOpened', bed.relayName)
  await first.stop()
  await opened
  const published = untilPublished(bed.relayName, 2)
  await bed.emit(['a', 'b'])
  await published
  expect(second.shards).toEqual([0])
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('the shard of a killed relay process is taken over when its lease has ended, and not before', async () => {
  await using bed = await setUp()
  await bed.emit(['a', 'b', 'c'])
  const leaseMs = 1_500
  const killed = startRelayProcess(bed, {
    fault: 'relay.endtxn.acked@2:kill',
    env: { ONCEBOX_LEASE_MS: String(leaseMs) },
  })
  await killed.ended
  const { rows } = await bed.pool.query<{ at: Date }>('select max(at) as at from outbox.heartbeats')
  await using next = createRelay(bed.options)
  const opened = untilSeen('relayOpened', bed.relayName)
  await next.start()
  await opened
  const { rows: claims } = await bed.pool.query<{ at: Date }>('select max(at) as at from outbox.claims')
  const waitedMs = Number(claims[0]?.at) - Number(rows[0]?.at)
  expect(waitedMs).toBeGreaterThanOrEqual(leaseMs)
  expect(waitedMs).toBeLessThan(leaseMs + 2_000)
  const published = untilPublished(bed.relayName, 1)
  await bed.emit(['a'])
  await published
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('a relay process paused between Produce and EndTxn, and woken after a takeover, changes nothing and stands by', async () => {
  await using bed = await setUp()
  await bed.emit(['a', 'b', 'c'])
  // The first batch is position 0.
  const paused = startRelayProcess(bed, { fault: 'relay.produce.acked@2:stop' })
  await untilStopped(paused.child.pid ?? 0)
  await using fresh = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 4)
  await fresh.start()
  await bed.emit(['a'])
  await published
  const lost = paused.untilSaid('RELAY_FENCED')
  paused.child.kill('SIGCONT')
  await lost
  paused.child.kill('SIGTERM')
  const { code, output } = await paused.ended
  expect(code, output).toBe(0)
  expect(fresh.shards).toEqual([0])
  expect(describeVerdict(await bed.verdict())).toEqual([])
})
