import { afterEach, expect, test } from 'vitest'
import { channels } from '@oncebox/core'
import { createOutbox, defineTopic, text } from '@oncebox/outbox'
import { createRelay } from '../src/index.js'
import { setUp, untilPublished, untilSeen, type Bed } from './bed.js'

// The shortest wait between two polls in these tests, so that what comes sooner was told.
const pollMs = 1_000
const events = 10

let unsubscribe = (): void => undefined
afterEach(() => unsubscribe())

/** Emits in a transaction of its own, as a service in another process would: nothing of this process wakes the relay. */
async function emitFromElsewhere(bed: Bed, notify: boolean): Promise<void> {
  const topic = defineTopic(bed.topic, { events: { 'test.happened': anything }, codec: text })
  const outbox = createOutbox({ source: 'test', topics: [topic], notify })
  const client = await bed.pool.connect()
  await client.query('begin')
  await outbox.emit(client, 'test.happened', 'x')
  await client.query('commit')
  client.release()
}

/** How long `events` events take, each emitted when the relay has just found nothing and begins to wait. */
async function timeOf(bed: Bed, notify: boolean): Promise<number> {
  let takenMs = 0
  for (let event = 0; event < events; event++) {
    await untilSeen('relayIdle', bed.relayName)
    const published = untilPublished(bed.relayName, 1)
    const startedMs = performance.now()
    await emitFromElsewhere(bed, notify)
    await published
    takenMs += performance.now() - startedMs
  }
  return takenMs
}

const anything = {
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value: String(value) }) },
} as const

test('with poll.listen a commit with notify is found at once, and one without is polled for', async () => {
  await using bed = await setUp({ relay: { poll: { idleMsMin: pollMs, idleMsMax: pollMs, listen: true } } })
  await using relay = createRelay(bed.options)
  const listening = untilListening(bed)
  await relay.start()
  expect(await listening).toMatchObject({ listening: true })
  expect(await timeOf(bed, true)).toBeLessThan((events * pollMs) / 2)
  expect(await timeOf(bed, false)).toBeGreaterThan((events * pollMs) / 2)
})

test('a member connection that is lost is built again, and listens again', async () => {
  await using bed = await setUp({ relay: { poll: { idleMsMin: pollMs, idleMsMax: pollMs, listen: true } } })
  await using relay = createRelay(bed.options)
  const listening = untilListening(bed)
  await relay.start()
  await listening
  const again = untilListening(bed)
  await bed.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like '% member'`,
  )
  expect(await again).toMatchObject({ listening: true })
  expect(await timeOf(bed, true)).toBeLessThan((events * pollMs) / 2)
})

async function untilListening(bed: Bed): Promise<unknown> {
  return await new Promise((resolve) => {
    const listener = (message: unknown): void => {
      if ((message as { relay: string }).relay !== bed.relayName) return
      unsubscribe()
      resolve(message)
    }
    unsubscribe = () => channels.relayListening.unsubscribe(listener)
    channels.relayListening.subscribe(listener)
  })
}
