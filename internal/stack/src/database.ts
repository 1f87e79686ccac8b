/** A database per test file, so that files run in parallel: cloned from a template in some 40 ms instead of migrated. */
import pg from 'pg'
import { digest } from './cache.js'
import { randomName } from './random-name.js'
import { sharedStack } from './shared-stack.js'

/** What a new database starts with. */
export interface DatabaseTemplate {
  /** One name per content: on a stack that outlives a run, an older template of that name is used as it is. */
  readonly name: string
  /** Fills the template, e.g. runs migrations. Must close its connections: PostgreSQL clones no database in use. */
  readonly prepare: (url: string) => Promise<void>
}

export interface CreateDatabaseOptions {
  readonly template?: DatabaseTemplate
  /** A server of one's own; the shared stack's unless given. */
  readonly serverUrl?: string
}

export interface TestDatabase extends AsyncDisposable {
  readonly url: string
  readonly name: string
  /** Drops the database, also with connections open. */
  drop(): Promise<void>
}

const databaseUrl = (serverUrl: string, name: string): string => {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}

const withClient = async <T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** The database to clone, made by the first who needs it; the others wait for its advisory lock. */
const ensureTemplate = async (
  client: pg.Client,
  serverUrl: string,
  template: DatabaseTemplate,
): Promise<string> => {
  const name = `template_${digest(template.name)}`
  await client.query('select pg_advisory_lock(hashtext($1))', [name])
  try {
    const found = await client.query('select from pg_database where datname = $1', [name])
    if (found.rowCount === 1) return name
    // Renamed last, so that a database of that name is always complete.
    const unfinished = randomName('unfinished')
    await client.query(`create database "${unfinished}"`)
    try {
      await template.prepare(databaseUrl(serverUrl, unfinished))
      await client.query(`alter database "${unfinished}" rename to "${name}"`)
    } catch (error) {
      await client.query(`drop database if exists "${unfinished}" with (force)`)
      throw error
    }
    return name
  } finally {
    await client.query('select pg_advisory_unlock(hashtext($1))', [name])
  }
}

const unusedTriesMax = 100
const unusedTryMs = 20

/**
 * Bounded patience with connections that are being closed: a pool has ended before its last server processes have, and
 * one that is terminated meanwhile reports an error that nobody waits for. PostgreSQL has no signal for this.
 */
const untilUnused = async (client: pg.Client, name: string): Promise<void> => {
  for (let attempt = 0; attempt < unusedTriesMax; attempt += 1) {
    const { rowCount } = await client.query('select from pg_stat_activity where datname = $1', [name])
    if (rowCount === 0) return
    await new Promise((resolve) => setTimeout(resolve, unusedTryMs))
  }
}

/** Makes an empty database, or a clone of a template. */
export const createDatabase = async (options: CreateDatabaseOptions = {}): Promise<TestDatabase> => {
  const { template, serverUrl = sharedStack().postgres.url } = options
  const name = randomName('test')
  await withClient(serverUrl, async (client) => {
    const source = template === undefined ? 'template1' : await ensureTemplate(client, serverUrl, template)
    await client.query(`create database "${name}" template "${source}"`)
  })
  const drop = async (): Promise<void> => {
    await withClient(serverUrl, async (client) => {
      await untilUnused(client, name)
      await client.query(`drop database if exists "${name}" with (force)`)
    })
  }
  return { name, url: databaseUrl(serverUrl, name), drop, [Symbol.asyncDispose]: drop }
}
