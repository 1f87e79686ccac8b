import { expect, test } from 'vitest'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, startRelayProcess, untilPublished } from './bed.js'

test('stop finishes what is in hand; a second stop and a start after a stop are fine', async () => {
  await using bed = await setUp({ relay: { batch: { eventsMax: 50 } } })
  const relay = createRelay(bed.options)
  const some = untilPublished(bed.relayName, 50)
  await bed.emit(Array.from({ length: 400 }, (_, n) => `key-${n % 10}`))
  await relay.start()
  await some
  await Promise.all([relay.stop(), relay.stop()])
  await relay.stop()
  expect(relay.state).toBe('stopped')
  const before = (await bed.published()).length
  const rest = untilPublished(bed.relayName, 400 - before)
  await relay.start()
  await rest
  await relay.stop()
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('a start that cannot succeed says why, and leaves nothing running', async () => {
  await using bed = await setUp()
  const wrong = new URL(bed.url)
  wrong.pathname = '/no_such_database'
  await expect(
    createRelay({ ...bed.options, db: { connectionString: wrong.href } }).start(),
  ).rejects.toMatchObject({ code: '3D000' })
  const unreachable = createRelay({
    ...bed.options,
    kafka: { brokers: ['127.0.0.1:1'] },
    startTimeoutMs: 1_000,
  })
  await expect(unreachable.start()).rejects.toThrow()
  expect(unreachable.state).toBe('failed')
})

test('health is red until the shard is opened, then green, and metrics count what was published', async () => {
  await using bed = await setUp({ relay: { http: { port: 0 } } })
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 3)
  await relay.start()
  await bed.emit(['a', 'b', 'c'])
  await published
  const health = await fetch(`${relay.httpUrl}/healthz`)
  expect([health.status, await health.json()]).toEqual([
    200,
    { state: 'running', sinceProgressMs: expect.any(Number) as number },
  ])
  const metrics = await (await fetch(`${relay.httpUrl}/metrics`)).text()
  expect(metrics).toContain(`oncebox_relay_events_total{shard="0",relay="${bed.relayName}"} 3`)
  expect((await fetch(`${relay.httpUrl}/other`)).status).toBe(404)
})

test('the daemon ends with 0 at SIGTERM, and with 2 and a sentence when it was told too little', async () => {
  await using bed = await setUp()
  await bed.emit(['a'])
  const daemon = startRelayProcess(bed)
  await new Promise<void>((resolve) => {
    daemon.child.stdout?.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('shard opened')) resolve()
    })
  })
  daemon.child.kill('SIGTERM')
  expect(await daemon.ended).toMatchObject({ code: 0 })
  const lost = startRelayProcess(bed, { env: { ONCEBOX_RELAY_NAME: 'not a name' } })
  const { code, output } = await lost.ended
  expect(code).toBe(2)
  expect(output).toContain('what to do')
})
