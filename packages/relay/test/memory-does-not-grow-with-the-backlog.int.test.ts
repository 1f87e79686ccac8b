import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { describeVerdict } from '@internal/audit'
import { setUp, type Bed } from './bed.js'

test('four times as many events of 1 MB take no more memory', async () => {
  const few = await peakMb(40)
  const many = await peakMb(160)
  console.log(`40 events of 1 MB: ${few.toFixed(0)} MB, 160: ${many.toFixed(0)} MB`)
  expect(many).toBeLessThan(few + 60)
})

async function peakMb(events: number): Promise<number> {
  await using bed = await setUp()
  await bed.emit(
    Array.from({ length: events }, (_, n) => `key-${n}`),
    Buffer.alloc(1_000_000, 'x'),
  )
  const peak = await drain(bed, events)
  expect(describeVerdict(await bed.verdict())).toEqual([])
  return peak
}

const program = fileURLToPath(new URL('programs/drain.mjs', import.meta.url))

/** Publishes them in a process of its own; resolves with the most memory it had. */
async function drain({ options, relayName, url }: Bed, events: number): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    program,
    JSON.stringify({
      options: { name: relayName, db: { connectionString: url }, kafka: options.kafka },
      events,
    }),
  ])
  // The program's last line is its report; the relay logs above it.
  return (JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { peakMb: number }).peakMb
}
