import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import { startPrivatePostgres } from '@internal/stack'
import { createRelay } from '../src/index.js'
import { parseSnapshot } from '../src/reading/snapshot.js'
import { WindowReader } from '../src/reading/window-reader.js'
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

  // And one that reads already, when a pooler hands it to a standby: the life is not there to be looked at.
  const client = new pg.Client({ connectionString: bed.url })
  await client.connect()
  const window = { generation: 1, epoch: 1, number: 1, incarnation: '' }
  const options = {
    shard: 0,
    epoch: 1,
    lifeToken: randomUUID(),
    condition: '',
    selection: `0, 255, '{}', false`,
  }
  const reader = new WindowReader(client, { ...options, bytesMax: 1_000_000, keepTransactionsWhole: false })
  const cursor = { anchor: window, from: parseSnapshot('4:4:'), to: undefined, after: 0n }
  await expect(reader.read(cursor, 100)).rejects.toMatchObject({ code: 'RELAY_STANDBY_REFUSED' })
  await client.end()
})
