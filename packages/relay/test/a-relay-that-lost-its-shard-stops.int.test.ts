import { expect, test } from 'vitest'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, startRelayProcess, untilPublished } from './bed.js'

test('a second relay with the same name takes over, the first stops with RELAY_FENCED', async () => {
  await using bed = await setUp()
  const first = createRelay(bed.options)
  await first.start()
  await bed.emit(['a', 'b'])
  await using second = createRelay(bed.options)
  await second.start()
  await expect(first.stopped).rejects.toMatchObject({ code: 'RELAY_FENCED' })
  expect(first.state).toBe('failed')
  const published = untilPublished(bed.relayName, 1)
  await bed.emit(['c'])
  await published
  await first.stop()
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('a relay process paused between Produce and EndTxn, and woken after a takeover, changes nothing', async () => {
  await using bed = await setUp()
  await bed.emit(['a', 'b', 'c'])
  const paused = startRelayProcess(bed, {
    fault: 'relay.produce.acked@1:stop',
    env: { ONCEBOX_LOG_LEVEL: 'warn' },
  })
  await untilStopped(paused.child.pid ?? 0)
  await using fresh = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 4)
  await fresh.start()
  await bed.emit(['a'])
  await published
  paused.child.kill('SIGCONT')
  const { code, output } = await paused.ended
  expect(code, output).toBe(1)
  expect(output).toContain('RELAY_FENCED')
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

/** Linux names a stopped process T; there is nothing to wait on for a process that has stopped itself but its state. */
async function untilStopped(pid: number): Promise<void> {
  const { readFile } = await import('node:fs/promises')
  for (let attempt = 0; attempt < 2_000; attempt++) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    if (stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('the process did not stop itself')
}
