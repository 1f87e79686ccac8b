import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { agentUrl } from '@internal/faults'
import type { FaultPoint } from '@oncebox/core'
import { describe, expect, test } from 'vitest'
import { kafkaVersions, numbered, setUp, useKafka, type Fixture } from './fixture.js'

const program = fileURLToPath(new URL('programs/publisher.mjs', import.meta.url))

/** Runs the publisher to its end, with a fault or without; resolves with the signal that ended it and its output. */
async function publishInProcess(
  { brokers, topic, progress, transactionalIds }: Fixture,
  fault: string,
): Promise<{ signal: string | null; output: string }> {
  const name = fault === '' ? 'whole' : 'killed'
  const child = spawn(
    process.execPath,
    ['--import', agentUrl, program, JSON.stringify({ brokers, topic, progress, transactionalIds, name })],
    {
      env: { ...process.env, ONCEBOX_FAULT: fault },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [, signal] = (await once(child, 'close')) as [number | null, string | null] // the event's documented arguments
  return { signal, output }
}

const points: readonly FaultPoint[] = [
  'relay.ids.initialised',
  'relay.claim.committed',
  'relay.produce.sent',
  'relay.produce.acked',
  'relay.endtxn.sent',
  'relay.endtxn.acked',
]
const committedBy: ReadonlySet<FaultPoint> = new Set(['relay.endtxn.acked'])
const undecidedBy: ReadonlySet<FaultPoint> = new Set(['relay.endtxn.sent'])

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  const kafka = useKafka(version)

  test.each(points)(
    'a process killed at %s leaves its transaction whole or absent, and the next session decides it',
    async (point) => {
      const fixture = await setUp({ brokers: kafka.brokers(), partitions: 3 })
      expect(await publishInProcess(fixture, `${point}:kill`)).toEqual({ signal: 'SIGKILL', output: '' })
      const next = await fixture.open() // what it returns from is decided
      await next.publish({ partitions: [fixture.records(['next'])] })

      const values = await fixture.committed()
      const ofKilled = values.filter((value) => value.startsWith('killed-'))
      const whole = [0, 1, 2].flatMap(() => numbered('killed', 100))
      expect([[], whole]).toContainEqual(ofKilled)
      if (!undecidedBy.has(point)) expect(ofKilled).toEqual(committedBy.has(point) ? whole : [])
      expect(values.filter((value) => value === 'next')).toHaveLength(1)
    },
  )

  test('a process that has closed session and client ends by itself', async () => {
    const fixture = await setUp({ brokers: kafka.brokers(), partitions: 3 })
    expect(await publishInProcess(fixture, '')).toEqual({ signal: null, output: 'published\n' })
  })
})
