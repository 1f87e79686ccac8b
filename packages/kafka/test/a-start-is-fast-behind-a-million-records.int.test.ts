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

const position: WrittenTransaction = { key: 'position', ending: 'commit', times: 1 }
/** A relay commits its position again when more than 10,000 offsets are behind it: 5,000 transactions and their markers. */
const leftBehind = 6_000
const many = 150_000

const logs = {
  /**
   * A relay that has run for a million batches; no cleaner has been here. The oldest nine tenths are many to a batch, as the
   * broker would take minutes to check them one by one; a start does not get there.
   */
  'a-million-positions': [
    { ...position, times: 9_000, records: 100 },
    { ...position, times: 100_000 },
  ],
  /** Runs that never got as far as a batch. */
  claims: [position, { key: 'claim', ending: 'commit', times: leftBehind }],
  /** Runs whose batches were all aborted. */
  'aborted-positions': [position, { key: 'position', ending: 'abort', times: leftBehind }],
  'many-claims': [position, { key: 'claim', ending: 'commit', times: many }],
  'many-aborted-positions': [position, { key: 'position', ending: 'abort', times: many }],
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
  expect(offset).toBe('1108998') // the last but its marker
  expect(ms).toBeLessThan(1_000)
})

test.each(['claims', 'aborted-positions'] as const)(
  'a start takes less than a second when as many %s lie behind the last position as a relay leaves there',
  async (topic) => {
    const { ms, offset } = await start(topic)
    expect(offset).toBe('0')
    expect(ms).toBeLessThan(1_000)
  },
)

// The broker goes through all of its index of aborted transactions for each answer: asked for it, the aborted positions
// took nine times as long as the claims (2 cores, half a million of each).
test('aborted positions cost about as much as claims, in hundreds of thousands too', async () => {
  const claims = await start('many-claims')
  const aborted = await start('many-aborted-positions')
  expect([claims.offset, aborted.offset]).toEqual(['0', '0'])
  expect(aborted.ms).toBeLessThan(4 * claims.ms)
})
