import { createDatabase, type TestDatabase } from '@internal/stack'
import {
  checkSchema,
  fromKnex,
  fromPg,
  migrateOutbox,
  outboxMigrations,
  runMigrations,
} from '@oncebox/outbox'
import { listMigrations } from '../src/migration-files.js'
import knexFactory from 'knex'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'

let database: TestDatabase
let pool: pg.Pool
let directory: string
beforeEach(async () => {
  database = await createDatabase()
  pool = new pg.Pool({ connectionString: database.url, max: 8 })
  directory = await mkdtemp(path.join(tmpdir(), 'migrations-'))
})
afterEach(async () => {
  await pool.end()
  await database.drop()
  await rm(directory, { recursive: true })
})

/** Those that ship with the package, in order. */
const shipped = (await listMigrations(outboxMigrations.directory)).map(({ number, name }) => ({
  number,
  name,
}))
const numbers = shipped.map(({ number }) => number)
const newest = numbers.at(-1)

const writeMigration = (number: number, sql: string): Promise<void> =>
  writeFile(
    path.join(directory, `000${number}-step.sql`),
    `${sql}; insert into things.migrations (number) values (${number});`,
  )
const create = 'create schema things; create table things.migrations (number integer primary key)'
const run = () => runMigrations(fromPg(pool), { schema: 'things', directory })

test('several processes at once run each migration once', async () => {
  const reports = await Promise.all(Array.from({ length: 8 }, () => migrateOutbox(database.url)))
  expect(reports.flatMap((report) => report.applied).toSorted((a, b) => a - b)).toEqual(numbers)
  expect((await pool.query('select number, name from outbox.migrations order by number')).rows).toEqual(
    shipped,
  )
})

test('a second run does nothing, through knex too', async () => {
  const knex = knexFactory({ client: 'pg', connection: database.url })
  expect(await migrateOutbox(fromKnex(knex))).toEqual({ schema: 'outbox', applied: numbers, number: newest })
  expect(await migrateOutbox(fromKnex(knex))).toEqual({ schema: 'outbox', applied: [], number: newest })
  await knex.destroy()
})

test('a schema that an administrator has made is used', async () => {
  await pool.query('create schema outbox')
  expect(await migrateOutbox(fromPg(pool))).toMatchObject({ applied: numbers })
})

test('checkSchema tells a schema that is missing, fitting, or newer', async () => {
  const { outside } = fromPg(pool)
  await expect(checkSchema(outside)).rejects.toMatchObject({ code: 'OUTBOX_SCHEMA_MISSING' })
  await migrateOutbox(fromPg(pool))
  await checkSchema(outside)
  await pool.query(`insert into outbox.migrations (number, name) values (99, 'of the future')`)
  await expect(checkSchema(outside)).rejects.toMatchObject({
    code: 'OUTBOX_SCHEMA_NEWER',
    details: { number: 99 },
  })
  await expect(migrateOutbox(fromPg(pool))).rejects.toMatchObject({ code: 'OUTBOX_SCHEMA_NEWER' })
})

test('a newer schema is used if all that is new in it says that older programs live with it', async () => {
  const { outside } = fromPg(pool)
  await migrateOutbox(fromPg(pool))
  await pool.query(
    `insert into outbox.migrations (number, name) values (98, 'adds-an-index+'), (99, 'adds-a-table+')`,
  )
  await checkSchema(outside)
  expect(await migrateOutbox(fromPg(pool))).toMatchObject({ applied: [] })
  await pool.query(`insert into outbox.migrations (number, name) values (100, 'drops-a-column')`)
  await expect(checkSchema(outside)).rejects.toMatchObject({
    code: 'OUTBOX_SCHEMA_NEWER',
    details: { number: 100, newest },
  })
})

test('only what is missing is run, and nothing is kept of a migration that fails', async () => {
  await writeMigration(1, create)
  expect(await run()).toMatchObject({ applied: [1] })
  await writeMigration(2, 'create table things.a ()')
  await writeMigration(3, 'create table things.b (); select 1 / 0')
  await expect(run()).rejects.toMatchObject({
    code: 'OUTBOX_MIGRATION_FAILED',
    details: { number: 3 },
    cause: { code: '22012' },
  })
  expect(
    (
      await pool.query(
        `select to_regclass('things.a') is not null as a, to_regclass('things.b') is not null as b`,
      )
    ).rows,
  ).toEqual([{ a: true, b: false }])
  await writeMigration(3, 'create table things.b ()')
  expect(await run()).toMatchObject({ applied: [3], number: 3 })
})

test('a migration that does not record itself is refused and rolled back', async () => {
  await writeFile(path.join(directory, '0001-silent.sql'), create)
  await expect(run()).rejects.toMatchObject({ code: 'OUTBOX_MIGRATION_FAILED' })
  expect((await pool.query(`select to_regnamespace('things') is null as gone`)).rows).toEqual([
    { gone: true },
  ])
})
