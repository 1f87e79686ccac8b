import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectKafka, ensureProgressTopic, readTopicOffsets } from '../src/index.js'
import { writeLog, type WrittenTransaction } from './written-log.js'

const program = fileURLToPath(new URL('programs/start.mjs', import.meta.url))

interface Start {
  readonly ms: number
  readonly openedMs: number
  /** Of the position that was found. */
  readonly offset: string
}

const logs = {
  /** A relay that has run for a million batches; no cleaner has been here. */
  'a-million-positions': [{ key: 'position', ending: 'commit', times: 1_000_000 }],
  /** Runs that never got as far as a batch, or whose batches were all aborted. */
  'claims-behind': [
    { key: 'position', ending: 'commit', times: 1 },
    { key: 'claim', ending: 'commit', times: 50_000 },
  ],
  'aborted-behind': [
    { key: 'position', ending: 'commit', times: 1 },
    { key: 'position', ending: 'abort', times: 50_000 },
  ],
} as const satisfies Record<string, readonly WrittenTransaction[]>

let kafka: PrivateKafka

beforeAll(async () => {
  kafka = await startPrivateKafka({ settings: { 'log.cleaner.enable': 'false' } })
  await using client = await connectKafka({ brokers: kafka.brokers })
  for (const topic of Object.keys(logs)) {
    await ensureProgressTopic(client, { topic, partitions: 1 })
    await readTopicOffsets(client, topic) // answered by a leader that has its files
  }
  await kafka.kill()
  for (const [topic, transactions] of Object.entries(logs)) await writeLog(kafka, topic, transactions)
  await kafka.start()
})
afterAll(() => kafka[Symbol.asyncDispose]())

async function start(topic: keyof typeof logs): Promise<Start> {
  const settings = JSON.stringify({ brokers: kafka.brokers, topic })
  const { stdout } = await promisify(execFile)(process.execPath, [program, settings])
  const result = JSON.parse(stdout) as Start // what the program prints
  console.log(
    `${topic}: a start in ${Math.round(result.ms)} ms, the session ${Math.round(result.openedMs)} of it`,
  )
  return result
}

test('a start takes less than a second at 1,000,000 positions', async () => {
  const { ms, offset } = await start('a-million-positions')
  expect(offset).toBe('1999998') // each has a marker behind it
  expect(ms).toBeLessThan(1_000)
})

test.each(['claims-behind', 'aborted-behind'] as const)(
  'a start takes less than a second when the last position lies behind 50,000 of those (%s)',
  async (topic) => {
    const { ms, offset } = await start(topic)
    expect(offset).toBe('0')
    expect(ms).toBeLessThan(1_000)
  },
)
