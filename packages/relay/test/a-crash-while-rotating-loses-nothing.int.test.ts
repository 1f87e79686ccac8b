import { once } from 'node:events'
import { expect, test } from 'vitest'
import { describeVerdict } from '@internal/audit'
import { startProxy } from '@internal/proxy'
import { startPrivatePostgres } from '@internal/stack'
import type { FaultPoint } from '@oncebox/core'
import { createRelay } from '../src/index.js'
import {
  emitSteadily,
  fastRotation,
  fastRotationEnv,
  keepLedger,
  rowsLeft,
  setUp,
  startRelayProcess,
  untilPublished,
  untilStopped,
} from './bed.js'

const patient = { timeout: 60_000 }

const points: readonly FaultPoint[] = [
  'relay.confirmation.proven',
  'relay.rotation.sent',
  'relay.rotation.advanced',
  'relay.rotation.emptied',
]

test.each(points)('a relay killed at %s, several times', async (point) => {
  await using bed = await setUp({ relay: fastRotation })
  await keepLedger(bed)
  await using writing = emitSteadily(bed)
  for (const hit of [1, 2, 5]) {
    const { ended } = startRelayProcess(bed, { fault: `${point}@${hit}:kill`, env: fastRotationEnv })
    const { signal, output } = await ended
    expect(signal, output).toBe('SIGKILL')
  }
  await writing.stop()
  await using last = createRelay(bed.options)
  await last.start()
  await expect.poll(async () => await rowsLeft(bed), patient).toBe(0)
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect((await bed.committed()).length).toBe(writing.events)
})

test('a relay that stands still in the middle of a rotation holds no lock, and another one goes on', async () => {
  await using bed = await setUp({ relay: fastRotation })
  await keepLedger(bed)
  await bed.emit(['a'])
  const stopped = startRelayProcess(bed, { fault: 'relay.rotation.sent@10:stop', env: fastRotationEnv })
  const pid = stopped.child.pid ?? 0
  await untilStopped(pid)
  await using relay = createRelay(bed.options)
  await relay.start()
  await bed.emit(['b'])
  await expect.poll(async () => await rowsLeft(bed), patient).toBe(0)
  expect(describeVerdict(await bed.verdict())).toEqual([])
  stopped.child.kill('SIGKILL')
  await stopped.ended
})

// Its transaction has a lock on each slot, so that none of them can be emptied. A poll is one message, and leaves nothing open; a
// page of a backlog is asked for behind its snapshot.
test('a relay that stands still in the middle of a read loses its transaction after ten seconds, and goes on', async () => {
  await using bed = await setUp({ relay: fastRotation })
  const url = new URL(bed.url)
  await using proxy = await startProxy({
    protocol: 'postgres',
    upstream: { host: url.hostname, port: Number(url.port) },
  })
  url.host = `${proxy.host}:${proxy.port}`
  await bed.emit(['a'])
  const rule = proxy.on({ request: /^\s*copy \(/ }, 'hold')
  await using relay = createRelay({ ...bed.options, db: { connectionString: url.href } })
  const published = untilPublished(bed.relayName, 1)
  await relay.start()
  await rule.fired
  const standing = async (): Promise<number> =>
    (
      await bed.pool.query(
        `select from pg_stat_activity
          where datname = current_database() and application_name like '%reader' and state = 'idle in transaction'`,
      )
    ).rowCount ?? 0
  expect(await standing()).toBe(1)
  await expect.poll(standing, patient).toBe(0)
  proxy.removeRules()
  await published
  await expect.poll(async () => await rowsLeft(bed), patient).toBe(0)
})

// Between its lock and TRUNCATE, and between TRUNCATE and its commit: one statement of the relay, so a trigger stops it.
test.each(['before', 'after'])('the server is killed %s TRUNCATE', async (when) => {
  await using server = await startPrivatePostgres()
  await using bed = await setUp({ serverUrl: server.url, relay: fastRotation })
  await keepLedger(bed)
  await bed.pool.query(`
    create function hold() returns trigger language plpgsql set lock_timeout = 0 as $$
    begin
      perform pg_advisory_xact_lock(4711);
      return null;
    end $$;
    create trigger hold ${when} truncate on outbox.events_1 execute function hold()`)
  const gate = await bed.pool.connect()
  gate.on('error', () => undefined)
  await gate.query('select pg_advisory_lock(4711)')
  await using relay = createRelay(bed.options)
  await relay.start()
  await bed.emit(['a', 'b', 'c'])
  const isHeld = async (): Promise<number | null> =>
    (await gate.query(`select from pg_locks where locktype = 'advisory' and not granted`)).rowCount
  await expect.poll(isHeld, patient).toBe(1)
  const lost = once(gate, 'error')
  await server.kill('SIGKILL')
  await lost
  gate.release(true)
  await server.start()
  await bed.pool.query('drop trigger hold on outbox.events_1')
  await bed.emit(['a', 'd'])
  await expect.poll(async () => await rowsLeft(bed), patient).toBe(0)
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect((await bed.committed()).length).toBe(5)
})
