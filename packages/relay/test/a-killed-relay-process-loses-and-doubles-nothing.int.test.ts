import { expect, test } from 'vitest'
import type { FaultPoint } from '@oncebox/core'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, startRelayProcess, untilIdleAt } from './bed.js'

const kills = 20
const keys = Array.from({ length: 10 }, (_, n) => `key-${n}`)

// The crash windows of a publish. The first two are the ones where an at-least-once relay doubles or loses.
const points: readonly FaultPoint[] = ['relay.produce.acked', 'relay.endtxn.sent']

test.for(points)(
  `a real relay process killed ${kills} times at %s: nothing lost, nothing doubled, order kept`,
  { timeout: 240_000 },
  async (point) => {
    await using bed = await setUp({ partitions: 3 })
    let killed = 0
    for (let round = 0; round < kills; round++) {
      await bed.emit([...keys, ...keys, ...keys])
      const hit = 1 + (round % 3)
      const relay = startRelayProcess(bed, {
        fault: `${point}@${hit}:kill`,
        env: { ONCEBOX_BATCH_EVENTS_MAX: '10' },
      })
      const { signal, output } = await relay.ended
      expect(signal, output).toBe('SIGKILL')
      killed++
    }
    await using last = createRelay(bed.options)
    const idle = untilIdleAt(bed)
    await last.start()
    await idle
    expect(killed).toBe(kills)
    expect(describeVerdict(await bed.verdict())).toEqual([])
  },
)

const openingPoints: readonly FaultPoint[] = [
  'relay.epoch.raised',
  'relay.ids.initialised',
  'relay.claim.committed',
  'relay.position.read',
  'relay.window.taken',
  'relay.window.recorded',
  'relay.produce.sent',
  'relay.endtxn.acked',
]

test(
  'a relay process killed at each of the other fault points: nothing lost, nothing doubled',
  { timeout: 240_000 },
  async () => {
    await using bed = await setUp({ partitions: 3 })
    for (const point of [...openingPoints, ...openingPoints]) {
      await bed.emit(keys)
      const { signal, output } = await startRelayProcess(bed, {
        fault: `${point}@1:kill`,
        env: { ONCEBOX_BATCH_EVENTS_MAX: '5' },
      }).ended
      expect(signal, `${point}: ${output}`).toBe('SIGKILL')
    }
    await using last = createRelay(bed.options)
    const idle = untilIdleAt(bed)
    await last.start()
    await idle
    expect(describeVerdict(await bed.verdict())).toEqual([])
  },
)
