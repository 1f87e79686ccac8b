import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { randomName, sharedStack } from '@internal/stack'
import { createRelay, removeRelay } from '../src/index.js'
import { fastRotation, rowsLeft, setUp, untilPublished, untilSeen, type Bed } from './bed.js'

const patient = { timeout: 30_000 }

test('a running relay that is removed stops, typed; one of another name begins behind the removal, and rotation goes on', async () => {
  await using bed = await setUp({ relay: fastRotation })
  await using relay = createRelay(bed.options)
  const first = untilPublished(bed.relayName, 1)
  await relay.start()
  await bed.emit(['published'])
  await first

  const failed = untilSeen('relayFailed', bed.relayName)
  const ended = expect(relay.stopped).rejects.toMatchObject({ code: 'RELAY_REMOVED' })
  expect(await removeRelay(db(bed), bed.relayName)).toMatchObject({ shards: 1, running: 1, unread: 0 })
  await failed
  await ended
  expect(await removeRelay(db(bed), bed.relayName)).toMatchObject({ already: true })
  await bed.emit(['after'])
  await expect(createRelay(bed.options).start()).rejects.toMatchObject({ code: 'RELAY_REMOVED' })

  const name = randomName('relay')
  await using next = createRelay({ ...bed.options, name })
  const second = untilPublished(name, 1)
  await next.start()
  await second
  expect(new Set((await bed.published()).map(({ key }) => key))).toEqual(new Set(['published', 'after']))
  await expect.poll(async () => await rowsLeft(bed), patient).toBe(0)
})

test('a removal that is killed between its two steps is finished by the next one', async () => {
  await using bed = await setUp()
  await using relay = createRelay(bed.options)
  await relay.start()
  await relay.stop()
  await bed.emit(['unread'])
  expect(await remove(bed, { ONCEBOX_FAULT: 'relay.removal.recorded:kill' })).toBe('SIGKILL')
  expect(await remove(bed, {})).toBe(0)

  const name = randomName('relay')
  await using next = createRelay({ ...bed.options, name })
  const published = untilPublished(name, 1)
  await next.start()
  await bed.emit(['after'])
  await published
  expect((await bed.published()).map(({ key }) => key)).toEqual(['after'])
})

test('a relay that nobody knows is not removed', async () => {
  await using bed = await setUp()
  await expect(removeRelay(db(bed), 'no-such-relay')).rejects.toMatchObject({ code: 'RELAY_UNKNOWN' })
  expect(await removeRelayRefused(bed)).toBeUndefined()
})

/** What a person does who says no. */
async function removeRelayRefused(bed: Bed): Promise<unknown> {
  await using relay = createRelay(bed.options)
  await relay.start()
  return await removeRelay(db(bed), bed.relayName, { approve: () => false })
}

const db = ({ url }: Bed): { connectionString: string } => ({ connectionString: url })

const cli = fileURLToPath(new URL('../../cli/dist/main.js', import.meta.url))
const agent = fileURLToPath(new URL('../../../internal/faults/dist/agent.js', import.meta.url))

/** As a person does. @returns The exit code, or the signal that ended it. */
async function remove(bed: Bed, env: Readonly<Record<string, string>>): Promise<number | string> {
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--import', agent, cli, 'relay-remove', '--name', bed.relayName, '--yes'],
      {
        env: {
          ...process.env,
          ONCEBOX_DATABASE_URL: bed.url,
          ONCEBOX_KAFKA_BROKERS: sharedStack().kafka.brokers.join(','),
          ...env,
        },
      },
      (error) => resolve(error === null ? 0 : (error.signal ?? Number(error.code))),
    )
  })
}
