import type { SqlConnection } from '@oncebox/core'

// One unbroken life of the consumer's database: whatever takes committed marks away from it begins another one.
//
// - The life token alone is not enough: it ends with a crash and a failover, but a pg_dump has it in it, and so has a copy of
//   the files of a server that was shut down.
// - A dump that is restored makes new tables, with other oids; a copy of a database by template, another oid of the database.
// - Files that were put back need a start of the server, which has its time. A clean restart begins another life, too,
//   for nothing: that costs a filter its answers, and nobody an effect.
// - Another cluster has another system identifier.
const readLife = `
  select concat_ws('/', system.system_identifier, extract(epoch from pg_postmaster_start_time()), database.oid,
                   'inbox.marks'::regclass::oid, 'inbox.life'::regclass::oid, pg_relation_filenode('inbox.life'),
                   life.token) as life
    from inbox.life as life
   cross join pg_control_system() as system
   cross join (select oid from pg_database where datname = current_database()) as database`

/**
 * The life of the database, for a filter. Undefined when it has none at this moment: after a crash, until a consumer
 * starts.
 *
 * Read it before the filter is asked, and again inside the transaction that moves the position past events which the
 * filter has kept away: if it is another one, they must be handled. Read it inside the transaction of an effect that is
 * to be remembered.
 */
export async function readDatabaseLife(connection: SqlConnection): Promise<string | undefined> {
  const { rows } = await connection.query<{ life: string }>(readLife)
  return rows[0]?.life
}
