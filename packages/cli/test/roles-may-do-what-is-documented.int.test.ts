import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, randomName, type TestDatabase } from '@internal/stack'
import { migrateInbox } from '@oncebox/consumer-dedup'
import { fromPg, migrateOutbox } from '@oncebox/outbox'

// Each verb is tried on each column of each object by each role, on a real server; what docs/operations/privileges.md
// does not list must be denied. The owner is no superuser, and the database gives everything to PUBLIC by default.
const roles = ['writer', 'relay', 'consumer', 'support', 'reader', 'nobody'] as const
type Role = (typeof roles)[number]
type Kind = 'table' | 'sequence' | 'function'

interface DatabaseObject {
  readonly schema: string
  readonly name: string
  readonly kind: Kind
  readonly columns: readonly string[]
  readonly signature: string
}

const granted: Record<string, Role[]> = {
  'outbox.grant_writer': ['writer'],
  'outbox.grant_relay': ['relay'],
  'outbox.grant_dead_letters': ['support'],
  'outbox.grant_reader': ['reader'],
  'inbox.grant_consumer': ['consumer'],
  'inbox.grant_reader': ['reader'],
}

const names = Object.fromEntries(['owner', ...roles].map((role) => [role, randomName(role)]))
const nameOf = (role: Role | 'owner'): string => names[role] ?? role
let database: TestDatabase
let admin: pg.Client
const clients = new Map<Role, pg.Client>()

async function connect(user: string): Promise<pg.Client> {
  const url = new URL(database.url)
  url.username = user
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  return client
}

beforeAll(async () => {
  database = await createDatabase()
  admin = new pg.Client({ connectionString: database.url })
  await admin.connect()
  for (const role of ['owner', ...roles] as const) await admin.query(`create role "${nameOf(role)}" login`)
  await admin.query(`alter database "${database.name}" owner to "${nameOf('owner')}"`)
  const careless = (what: string): string =>
    `alter default privileges for role "${nameOf('owner')}" grant all on ${what} to public`
  for (const what of ['tables', 'sequences', 'functions', 'schemas']) await admin.query(careless(what))
  const url = new URL(database.url)
  url.username = nameOf('owner')
  const owner = new pg.Pool({ connectionString: url.href, max: 2 })
  await migrateOutbox(fromPg(owner))
  await migrateInbox(fromPg(owner))
  for (const [grant, grantees] of Object.entries(granted))
    for (const role of grantees) await owner.query(`select ${grant}($1)`, [nameOf(role)])
  await owner.end()
  for (const role of roles) clients.set(role, await connect(nameOf(role)))
})

afterAll(async () => {
  await Promise.all([...clients.values()].map((client) => client.end()))
  await admin.query(`alter database "${database.name}" owner to current_user`)
  for (const role of ['owner', ...roles] as const) {
    await admin.query(`drop owned by "${nameOf(role)}" cascade`)
    await admin.query(`drop role "${nameOf(role)}"`)
  }
  await admin.end()
  await database.drop()
})

/** `schema.name` of an object, to what a role may do with it: `select`, or `select id` where columns are named. */
type Allowed = ReadonlyMap<string, ReadonlySet<string>>

async function documented(role: Role): Promise<Allowed> {
  const text = await readFile(new URL('../../../docs/operations/privileges.md', import.meta.url), 'utf8')
  const allowed = new Map<string, ReadonlySet<string>>()
  let schema = ''
  let column = -1
  for (const line of text.split('\n')) {
    schema = /^Schema `(\w+)`/.exec(line)?.[1] ?? schema
    const cells = line.startsWith('|') ? line.split('|').slice(1, -1) : []
    if (cells[0]?.trim() === 'object') column = cells.findIndex((cell) => cell.trim() === role)
    else if (schema !== '' && cells[0]?.includes('`'))
      for (const [, name = ''] of cells[0].matchAll(/`(\w+)`/g))
        allowed.set(`${schema}.${name}`, verbsOf(column < 0 ? '' : (cells[column] ?? '')))
  }
  return allowed
}

function verbsOf(cell: string): ReadonlySet<string> {
  const verbs = [...cell.matchAll(/([a-z]+)(?: \(([^)]*)\))?/g)]
  return new Set(
    verbs.flatMap(([, verb = '', columns]) =>
      columns === undefined ? [verb] : columns.split(',').map((column) => `${verb} ${column.trim()}`),
    ),
  )
}

async function objects(): Promise<DatabaseObject[]> {
  const { rows } = await admin.query<DatabaseObject>(`
    select n.nspname as schema, c.relname as name, case c.relkind when 'S' then 'sequence' else 'table' end as kind,
           array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not attisdropped order by a.attnum) as columns,
           '' as signature
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('outbox', 'inbox') and c.relkind in ('r', 'p', 'S', 'v', 'm', 'f')
    union all
    select n.nspname, p.proname, 'function', '{}',
           coalesce((select string_agg('null::' || t::regtype, ', ') from unnest(p.proargtypes) t), '')
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('outbox', 'inbox')
     order by 1, 2`)
  return rows
}

const denied = '42501'
/** What nobody can do to a view of several tables; PostgreSQL says so before it looks at privileges. */
const impossible = new Set(['55000', '42809'])

/** Whether PostgreSQL lets the role run it. Nothing of it is kept. */
async function mayRun(role: Role, sql: string, object: DatabaseObject): Promise<boolean> {
  const client = clients.get(role)
  if (client === undefined) throw new Error(`${role} is not connected`)
  await client.query('begin')
  try {
    await client.query(sql)
    return true
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error
    // A function that may be called can still meet something inside that its arguments, or its caller, are not up to.
    if (object.kind === 'function')
      return error.code !== denied || !/permission denied for (function|schema)/.test(error.message)
    if (error.code !== denied && !impossible.has(error.code ?? ''))
      throw new Error(`${role}: ${sql}`, { cause: error })
    return false
  } finally {
    await client.query('rollback')
  }
}

/** What can be tried on an object: a name as in the documents, and the statement. */
function attempts(object: DatabaseObject): readonly (readonly [verb: string, sql: string])[] {
  const at = `${object.schema}.${object.name}`
  if (object.kind === 'function') return [['execute', `select ${at}(${object.signature})`]]
  if (object.kind === 'sequence')
    return [
      ['usage', `select nextval('${at}')`],
      ['select', `select last_value from ${at}`],
      ['update', `select setval('${at}', 1)`],
    ]
  return [
    ['delete', `delete from ${at} where false`],
    ['truncate', `truncate ${at}`],
    ...object.columns.flatMap((column): [string, string][] => [
      [`select ${column}`, `select "${column}" from ${at} limit 0`],
      [`insert ${column}`, `insert into ${at} ("${column}") overriding system value select null where false`],
      [`update ${column}`, `update ${at} set "${column}" = default where false`],
    ]),
  ]
}

/** `select` in the documents is `select` of every column. */
const isAllowed = (allowed: ReadonlySet<string> | undefined, verb: string): boolean =>
  allowed?.has(verb) === true || allowed?.has(verb.split(' ', 1)[0] ?? verb) === true

describe.each(roles)('%s', (role) => {
  test('may do what is documented, and nothing else', async () => {
    const allowed = await documented(role)
    const [may, says] = [[] as string[], [] as string[]]
    const all = await objects()
    for (const object of all) {
      const at = `${object.schema}.${object.name}`
      for (const [verb, sql] of attempts(object)) {
        if (await mayRun(role, sql, object)) may.push(`${verb} ${at}`)
        if (isAllowed(allowed.get(at), verb)) says.push(`${verb} ${at}`)
      }
    }
    expect(may).toEqual(says)
    expect(all.length).toBeGreaterThan(40)
    if (role === 'nobody') expect(may).toEqual([])
    else expect(may.length).toBeGreaterThan(10)
  })

  test('has no other privilege, on a schema, a table or a database', async () => {
    const { rows } = await admin.query(
      `select c.oid::regclass::text as object, privilege
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
        cross join unnest(array['references', 'trigger']) as privilege
        where n.nspname in ('outbox', 'inbox') and c.relkind in ('r', 'p') and has_table_privilege($1, c.oid, privilege)
       union all
       select nspname, 'create' from pg_namespace
        where nspname in ('outbox', 'inbox') and has_schema_privilege($1, oid, 'create')`,
      [nameOf(role)],
    )
    expect(rows).toEqual([])
  })
})

test('every object is in the documents', async () => {
  const allowed = await documented('reader')
  const found = (await objects()).map(({ schema, name }) => `${schema}.${name}`)
  expect([...new Set(found)].sort()).toEqual([...allowed.keys()].sort())
})

test('USAGE on the schemas is as documented', async () => {
  const { rows } = await admin.query<{ schema: string; role: Role }>(
    `select schema, role from unnest(array['outbox', 'inbox']) as schema
      cross join jsonb_each_text($1) as r(role, name)
      where has_schema_privilege(name, schema, 'usage') order by schema desc, array_position($2::text[], role)`,
    [JSON.stringify(Object.fromEntries(roles.map((role) => [role, nameOf(role)]))), roles],
  )
  const text = await readFile(new URL('../../../docs/operations/privileges.md', import.meta.url), 'utf8')
  const says = [...text.matchAll(/^Schema `(\w+)`. USAGE on the schema: (.*)\.$/gm)].flatMap(
    ([, schema, list = '']) => list.split(', ').map((role) => ({ schema, role })),
  )
  expect(rows).toEqual(says)
})

// Where it is the caller's, whoever may create functions in a schema of it has theirs run with the caller's privileges, or the
// owner's: unnest(xid8[]) fits better than unnest(anyarray).
test('every function of the outbox has a search path of its own', async () => {
  const { rows } = await admin.query(
    `select proname from pg_proc
      where pronamespace = 'outbox'::regnamespace
        and 'search_path=pg_catalog, pg_temp' <> all (coalesce(proconfig, '{}'))`,
  )
  expect(rows).toEqual([])
})
