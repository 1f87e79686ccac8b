import { expect, test } from 'vitest'
import pg from 'pg'
import { startPrivatePostgres } from '@internal/stack'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, untilPublished, untilSeen } from './bed.js'

// A commit that waits for a lost synchronous standby is durable all the same. A relay that took its own claim, whose
// answer was lost, for a rival's would stop for good although it is alone.
test('a relay whose claim was committed but never answered goes on', async () => {
  await using server = await startPrivatePostgres()
  await using bed = await setUp({ serverUrl: server.url })
  await using relay = createRelay(bed.options)
  await relay.start()
  await untilSeen('relayIdle', bed.relayName)

  const admin = new pg.Client({ connectionString: server.url })
  await admin.connect()
  await admin.query(`alter system set synchronous_standby_names = 'nobody'`)
  await admin.query('select pg_reload_conf()')
  const doubt = untilSeen('relayReopening', bed.relayName)
  await endReader(admin, bed.relayName)
  await doubt

  const waiting = `select pid from pg_stat_activity where application_name like $1 and wait_event = 'SyncRep'`
  let pid: number | undefined
  for (const until = performance.now() + 30_000; pid === undefined && performance.now() < until;) {
    const { rows } = await admin.query<{ pid: number }>(waiting, [`%${bed.relayName} reader`])
    pid = rows[0]?.pid
  }
  expect(pid).toBeDefined()
  await admin.query('select pg_terminate_backend($1)', [pid])
  await admin.query('alter system reset synchronous_standby_names')
  await admin.query('select pg_reload_conf()')
  await admin.end()

  const published = untilPublished(bed.relayName, 3)
  await bed.emit(['a', 'b', 'c'])
  await Promise.race([published, relay.stopped])
  expect(relay.state).toBe('running')
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

async function endReader(admin: pg.Client, relayName: string): Promise<void> {
  await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1', [
    `%${relayName} reader`,
  ])
}
