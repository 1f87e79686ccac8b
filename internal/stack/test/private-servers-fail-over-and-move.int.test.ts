import path from 'node:path'
import { startPrivatePostgres, type PrivatePostgres } from '@internal/stack'
import pg from 'pg'
import { expect, test } from 'vitest'

async function query(server: PrivatePostgres, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows.map((row) => Object.values(row)[0])
  } finally {
    await client.end()
  }
}

test.for(['npm', 'debian'] as const)(
  'a standby of a %s server has what a synchronous commit has told it, and is promoted',
  async (release) => {
    await using primary = await startPrivatePostgres({ release })
    await query(primary, 'create table events as select 1 as id')
    await using standby = await primary.startStandby('other')
    await primary.waitForStandby('other')
    // Answered when the standby has it, and only then.
    await query(primary, 'insert into events values (2)')
    expect(await query(standby, 'select pg_is_in_recovery()')).toEqual([true])
    await primary.kill('SIGKILL')
    await standby.promote()
    await query(standby, 'insert into events values (3)')
    expect(await query(standby, 'select id from events order by id')).toEqual([1, 2, 3])
  },
)

test('a standby that was down when its primary died is promoted without the last commits', async () => {
  await using primary = await startPrivatePostgres()
  await query(primary, 'create table events as select 1 as id')
  await using standby = await primary.startStandby('other')
  await standby.stop()
  await query(primary, 'insert into events values (2)')
  await primary.kill('SIGKILL')
  await standby.start()
  await standby.promote()
  expect(await query(standby, 'select id from events')).toEqual([1])
})

test('pg_upgrade replaces a server, on the same port and with another identifier', async () => {
  await using server = await startPrivatePostgres({ release: 'debian', settings: { work_mem: '5MB' } })
  await query(server, 'create table events as select 1 as id')
  const identifier = 'select system_identifier::text from pg_control_system()'
  const before = await query(server, identifier)
  await server.upgrade()
  expect(await query(server, 'select id from events')).toEqual([1])
  expect(await query(server, 'show work_mem')).toEqual(['5MB'])
  expect(await query(server, identifier)).not.toEqual(before)
})

test('a database is dumped and restored by the tools of its release', async () => {
  await using server = await startPrivatePostgres({ release: 'debian' })
  await query(server, 'create table events as select 1 as id')
  const file = path.join(server.dataDir, '..', 'dump')
  await server.runTool('pg_dump', ['--format=custom', '--file', file, 'postgres'])
  await query(server, 'create database restored')
  await server.runTool('pg_restore', ['--dbname', 'restored', file])
  const restored = { ...server, url: server.url.replace(/postgres$/, 'restored') }
  expect(await query(restored, 'select id from events')).toEqual([1])
})
