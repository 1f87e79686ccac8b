import type { RelayOptions } from '@oncebox/relay'
import { OutboxError } from '@oncebox/core'
import { loadRelayOptions } from './load-relay-options.js'

/**
 * The database of a command that asks nothing else: `--database`, or ONCEBOX_DATABASE_URL, or `db` of a relay's file.
 * @throws OutboxError CLI_USAGE, CLI_CONFIG_INVALID, RELAY_OPTIONS_INVALID
 */
export async function databaseOf(
  { database, config }: { readonly database?: string | undefined; readonly config?: string | undefined },
  environment: NodeJS.ProcessEnv,
): Promise<RelayOptions['db']> {
  if (database !== undefined) return { connectionString: database }
  if (config !== undefined) return (await loadRelayOptions(config, environment)).db
  const connectionString = environment['ONCEBOX_DATABASE_URL']
  if (connectionString !== undefined) return { connectionString }
  throw new OutboxError(
    'CLI_USAGE',
    'no database: give --database URL or --config FILE, or set ONCEBOX_DATABASE_URL',
  )
}
