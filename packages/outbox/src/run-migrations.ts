/** Brings a schema to the newest migration: one transaction each, safe from several processes at once. */
import { invariant, OutboxError, type Database, type SqlConnection } from '@oncebox/core'
import { listMigrations, readMigration, type MigrationFile } from './migration-files.js'

/** A schema and the folder of its migrations. Each file records itself in `<schema>.migrations`. */
export interface MigrationSet {
  /** A lower-case SQL name; trusted, it becomes part of the statements. */
  readonly schema: string
  readonly directory: string
}

export interface MigrationReport {
  readonly schema: string
  /** The migrations that this call has run, by number; empty when the schema was up to date. */
  readonly applied: readonly number[]
  /** The newest migration, which the schema now has. */
  readonly number: number
}

const lockMs = 60_000
const serverVersionMin = 140_000

/**
 * Runs the migrations that the database lacks. The advisory lock belongs to the transaction, so it works through
 * PgBouncer and cannot be left behind; a lock is waited for at most 60 seconds.
 * @throws OutboxError OUTBOX_SERVER_UNSUPPORTED, OUTBOX_SCHEMA_NEWER, OUTBOX_MIGRATION_FAILED
 */
export async function runMigrations<Tx>(db: Database<Tx>, set: MigrationSet): Promise<MigrationReport> {
  const files = await listMigrations(set.directory)
  await assertServerSupported(db.outside)
  const applied: number[] = []
  for (const file of files) {
    if (await runMigration(db, set, file, files.length)) applied.push(file.number)
  }
  return { schema: set.schema, applied, number: files.length }
}

/**
 * Throws unless the schema is there and as new as this library.
 * @throws OutboxError OUTBOX_SCHEMA_MISSING, OUTBOX_SCHEMA_NEWER, OUTBOX_SERVER_UNSUPPORTED
 */
export async function checkMigrations(connection: SqlConnection, set: MigrationSet): Promise<void> {
  const newest = (await listMigrations(set.directory)).length
  await assertServerSupported(connection)
  const number = await numberOf(connection, set.schema)
  await assertUsable(connection, set.schema, number, newest)
  if (number < newest) {
    const state = number === 0 ? 'is not there' : `has migration ${number}, this library needs ${newest}`
    throw new OutboxError('OUTBOX_SCHEMA_MISSING', `schema ${set.schema} ${state}`, {
      details: { schema: set.schema, number, newest },
    })
  }
}

/** Whether this call ran it. */
async function runMigration<Tx>(
  db: Database<Tx>,
  { schema }: MigrationSet,
  file: MigrationFile,
  newest: number,
): Promise<boolean> {
  const sql = await readMigration(file)
  try {
    return await db.transaction(async (tx) => {
      const connection = db.inside(tx)
      await connection.query(`select set_config('lock_timeout', $1, true)`, [`${lockMs}ms`])
      await connection.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [
        `oncebox:migrations:${schema}`,
      ])
      // A new statement, so that it sees what the holder before us committed.
      const number = await numberOf(connection, schema)
      await assertUsable(connection, schema, number, newest)
      if (number >= file.number) return false
      await connection.query(sql)
      invariant((await numberOf(connection, schema)) === file.number, `${file.file} does not record itself`)
      return true
    })
  } catch (cause) {
    if (OutboxError.is(cause, 'OUTBOX_SCHEMA_NEWER')) throw cause
    const what = `migration ${file.number} (${file.name}) of schema ${schema}`
    throw new OutboxError(
      'OUTBOX_MIGRATION_FAILED',
      `${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
        details: { schema, number: file.number, name: file.name },
      },
    )
  }
}

/** The newest migration that the schema has; 0 when it has none. */
async function numberOf(connection: SqlConnection, schema: string): Promise<number> {
  const found = await connection.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    `${schema}.migrations`,
  ])
  if (found.rows[0]?.there !== true) return 0
  const { rows } = await connection.query<{ number: number | null }>(
    `select max(number) as number from ${schema}.migrations`,
  )
  return rows[0]?.number ?? 0
}

/**
 * A schema that was migrated by a newer release is used if every migration that this one does not know says that older programs
 * live with it: its recorded name ends with `+`. So the programs of two releases run side by side while one replaces the other.
 */
async function assertUsable(
  connection: SqlConnection,
  schema: string,
  number: number,
  newest: number,
): Promise<void> {
  if (number <= newest) return
  const { rows } = await connection.query<{ name: string }>(
    `select name from ${schema}.migrations where number > $1`,
    [newest],
  )
  if (rows.every(({ name }) => name.endsWith('+'))) return
  throw new OutboxError(
    'OUTBOX_SCHEMA_NEWER',
    `schema ${schema} has migration ${number}, this library knows ${newest}`,
    {
      details: { schema, number, newest },
    },
  )
}

async function assertServerSupported(connection: SqlConnection): Promise<void> {
  const { rows } = await connection.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  const version = rows[0]?.version ?? 0
  if (version >= serverVersionMin) return
  throw new OutboxError(
    'OUTBOX_SERVER_UNSUPPORTED',
    `PostgreSQL ${Math.trunc(version / 10_000)} is older than 14`,
    { details: { version } },
  )
}
