import { readFile } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { startPrivatePostgres, type PrivatePostgres } from '@internal/stack'
import { channels } from '@oncebox/core'
import { createRelay } from '../src/index.js'
import { fastRotation, insertEvent, setUp, timesEmptied, type Bed } from './bed.js'

// PostgreSQL itself tells who waits: whoever is not given a lock within 5 ms is in its log, with the mode, and once more
// with how long it took.
const settings = { log_lock_waits: 'on', deadlock_timeout: '5ms', log_line_prefix: '%a|' }
const patient = { timeout: 60_000 }
const patiently = 10_000

interface LockWait {
  readonly application: string
  readonly mode: string
  /** Undefined for one that was not waiting any more when the log was read. */
  readonly ms: number | undefined
}

/** Of writers and readers. The relay, which empties slots of its own bookkeeping all the time, may wait for itself. */
async function lockWaits(server: PrivatePostgres): Promise<LockWait[]> {
  const lines = (await readFile(server.logFile, 'utf8')).split('\n')
  return lines.flatMap((line) => {
    const [, application, still, mode, ms] =
      /^(.*?)\|LOG: +process \d+ (still waiting for|acquired) (\w+) on relation .* after ([\d.]+) ms/.exec(
        line,
      ) ?? []
    if (application === undefined || mode === undefined || !/^(writer|reader) /.test(application)) return []
    return [{ application, mode, ms: still === 'acquired' ? Number(ms) : undefined }]
  })
}

/** Emits and reads all the time, as services and people do; how long each of it took. */
async function workFor(bed: Bed, durationMs: number): Promise<{ writes: number[]; reads: number[] }> {
  const untilMs = performance.now() + durationMs
  const repeat = async (name: string, sql: string, values: unknown[]): Promise<number[]> => {
    const client = new pg.Client({ connectionString: bed.url, application_name: name })
    await client.connect()
    const took: number[] = []
    while (performance.now() < untilMs) {
      const startedMs = performance.now()
      await client.query(sql, values)
      took.push(performance.now() - startedMs)
    }
    await client.end()
    return took
  }
  const event = [bed.topic, 'key', Buffer.from('{}')]
  const look = 'select seq, id, payload from outbox.events order by events.seq desc limit 20'
  const [writes, reads] = await Promise.all([
    Promise.all([1, 2, 3].map((n) => repeat(`writer ${n}`, insertEvent, event))),
    Promise.all([1, 2].map((n) => repeat(`reader ${n}`, look, []))),
  ])
  return { writes: writes.flat(), reads: reads.flat() }
}

const describe = (took: readonly number[]): string => {
  const sorted = [...took].sort((a, b) => a - b)
  const at = (share: number): string => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1)
  return `${sorted.length}, p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms`
}

test('no writer and no reader waits while transactions are open on every slot that rotation would like to empty', async () => {
  await using server = await startPrivatePostgres({ settings })
  await using bed = await setUp({ serverUrl: server.url, relay: fastRotation })
  await using relay = createRelay(bed.options)
  await relay.start()
  const open: pg.Client[] = []
  onTestFinished(async () => {
    await Promise.all(open.map((client) => client.end()))
  })
  const begin = async (how: string, sql: string, values: unknown[] = []): Promise<void> => {
    const client = new pg.Client({ connectionString: bed.url })
    await client.connect()
    client.on('error', () => undefined) // its server goes first when the test fails
    open.push(client)
    await client.query(how)
    await client.query(sql, values)
  }
  await begin('begin', insertEvent, [bed.topic, 'open', Buffer.from('{}')])
  await begin('begin isolation level repeatable read', 'select count(*) from outbox.events') // as pg_dump
  let attempts = 0
  const onHeld = (message: unknown): void => {
    const { relay: name, blockers } = message as { relay: string; blockers: readonly string[] } // as documented
    if (name === bed.relayName && blockers.length > 0) attempts++
  }
  channels.relayRotationHeld.subscribe(onHeld)
  const writes: number[] = []
  const reads: number[] = []
  // Long enough to count, and until rotation has met them: a busy machine takes its time.
  const hasMetThem = (): boolean => attempts > 2
  for (let turn = 0; turn === 0 || (!hasMetThem() && turn < 20); turn++) {
    const took = await workFor(bed, patiently)
    writes.push(...took.writes)
    reads.push(...took.reads)
  }
  channels.relayRotationHeld.unsubscribe(onHeld)
  console.log(`held open: ${attempts} times busy; writes ${describe(writes)}; reads ${describe(reads)}`)
  expect(await timesEmptied(bed)).toBe(0)
  expect(attempts).toBeGreaterThan(2)
  expect(await lockWaits(server)).toEqual([])
  for (const client of open) await client.query('commit')
  await expect.poll(async () => await timesEmptied(bed), patient).toBeGreaterThan(0)
})

test('while slots are emptied one after the other, writers do not wait, and readers no longer than one TRUNCATE takes', async () => {
  await using server = await startPrivatePostgres({ settings })
  await using bed = await setUp({ serverUrl: server.url, relay: fastRotation })
  await using relay = createRelay(bed.options)
  await relay.start()
  const { writes, reads } = await workFor(bed, patiently)
  const waits = await lockWaits(server)
  const emptied = await timesEmptied(bed)
  console.log(
    `${emptied} slots emptied; writes ${describe(writes)}; reads ${describe(reads)}; ${waits.length} lines about waits`,
  )
  expect(emptied).toBeGreaterThan(5)
  // Only the reading lock, only for the time of TRUNCATE and its commit: nobody queues behind somebody who queues.
  expect([...new Set(waits.map(({ mode }) => mode))]).toEqual(waits.length === 0 ? [] : ['AccessShareLock'])
  expect(waits.filter(({ application }) => application.startsWith('writer'))).toEqual([])
  expect(Math.max(0, ...waits.map(({ ms = 0 }) => ms))).toBeLessThan(1_000)
})
