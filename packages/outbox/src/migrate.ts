/** The schema of the outbox itself. */
import { fileURLToPath } from 'node:url'
import type { Database, SqlConnection } from '@oncebox/core'
import { fromPg } from './adapters/pg.js'
import { checkMigrations, runMigrations, type MigrationReport, type MigrationSet } from './run-migrations.js'

/** Schema `outbox`, and the folder of its migrations, which travels with this package. */
export const outboxMigrations: MigrationSet = Object.freeze({
  schema: 'outbox',
  directory: fileURLToPath(new URL('../migrations/', import.meta.url)),
})

/**
 * Creates or updates schema `outbox`. Run it as the owner of the schema, from as many processes as you like.
 * @param database Of an adapter, or a connection string, which needs `pg` installed.
 * @throws OutboxError OUTBOX_SERVER_UNSUPPORTED, OUTBOX_SCHEMA_NEWER, OUTBOX_MIGRATION_FAILED
 */
export async function migrateOutbox<Tx>(database: Database<Tx> | string): Promise<MigrationReport> {
  if (typeof database !== 'string') return runMigrations(database, outboxMigrations)
  const { default: pg } = await import('pg')
  const pool = new pg.Pool({ connectionString: database, max: 1 })
  try {
    return await runMigrations(fromPg(pool), outboxMigrations)
  } finally {
    await pool.end()
  }
}

/**
 * Throws unless schema `outbox` is there and as new as this library.
 * @throws OutboxError OUTBOX_SCHEMA_MISSING, OUTBOX_SCHEMA_NEWER, OUTBOX_SERVER_UNSUPPORTED
 */
export const checkSchema = (connection: SqlConnection): Promise<void> =>
  checkMigrations(connection, outboxMigrations)
