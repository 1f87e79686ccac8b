import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { startPrivatePostgres } from '@internal/stack'
import { createRelay } from '../src/index.js'
import { setUp } from './bed.js'

// The snapshot of a standby does not list open transactions: a window between two of them loses what was open.
test('a relay on a hot standby does not start, typed', async () => {
  await using server = await startPrivatePostgres()
  await using bed = await setUp({ serverUrl: server.url })
  await server.stop()
  await writeFile(path.join(server.dataDir, 'standby.signal'), '')
  await server.start()
  const relay = createRelay(bed.options)
  await expect(relay.start()).rejects.toMatchObject({ code: 'RELAY_STANDBY_REFUSED' })
})
