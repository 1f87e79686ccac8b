/** The schema of the inbox. */
import { fileURLToPath } from 'node:url'
import type { Database } from '@oncebox/core'
import { runMigrations, type MigrationReport, type MigrationSet } from '@oncebox/outbox'

/** Schema `inbox`, and the folder of its migrations, which travels with this package. */
export const inboxMigrations: MigrationSet = Object.freeze({
  schema: 'inbox',
  directory: fileURLToPath(new URL('../migrations/', import.meta.url)),
})

/**
 * Creates or updates schema `inbox` in the database of the effects. Run it as the owner of the schema, from as many
 * processes as you like.
 * @throws OutboxError OUTBOX_SERVER_UNSUPPORTED, OUTBOX_SCHEMA_NEWER, OUTBOX_MIGRATION_FAILED
 */
export const migrateInbox = <Tx>(db: Database<Tx>): Promise<MigrationReport> =>
  runMigrations(db, inboxMigrations)
