/** Statements that the server keeps, parsed and planned, where a client is connected to one server process and no other. */
import { createHash } from 'node:crypto'
import type { Statement } from '@oncebox/core'
import type { ClientBase } from 'pg'

// pg's own field, not in its types: the process that the server named when the connection was made.
interface Connected {
  readonly processID?: number
}

/** What the server process of a client keeps; `nothing` where there may be several. Absent until it was asked once. */
const keptBy = new WeakMap<ClientBase, Set<KeptStatement> | 'nothing'>()
const known = new Map<string, KeptStatement>()
const knownMax = 1_000
const leadingComment = /^\s*(\/\*.*?\*\/)/

interface KeptStatement {
  readonly name: string
  readonly sql: string
  /** The comment at the beginning, which pg_stat_activity shows. */
  readonly comment: string
}

/**
 * Learns, once for each client, whether it talks to one server process: a pooler (PgBouncer, Odyssey) names none that exists, and hands
 * each transaction to another one, which does not know what the last one was told to keep. A round trip, the first time. Never throws: a
 * connection that is lost shows in the next statement.
 */
export async function learnDirectness(client: ClientBase & Connected): Promise<void> {
  if (keptBy.has(client)) return
  const answer = await client
    .query<{ process: number }>('select pg_backend_pid() as process')
    .catch(() => undefined)
  const isDirect = answer !== undefined && answer.rows[0]?.process === client.processID
  keptBy.set(client, isDirect ? new Set() : 'nothing')
}

/** What the server may keep for this client, in place of the statement; undefined where it has to be sent whole each time. */
export function keptStatement(
  client: ClientBase,
  { sql, prepare = true }: Pick<Statement, 'sql' | 'prepare'>,
): KeptStatement | undefined {
  if (!(keptBy.get(client) instanceof Set)) return undefined
  const text = typeof prepare === 'string' ? prepare : sql
  const found = known.get(text)
  if (found !== undefined || known.size >= knownMax) return found
  const name = `oncebox_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
  const statement = { name, sql: text, comment: leadingComment.exec(text)?.[1] ?? '' }
  known.set(text, statement)
  return statement
}

/** The server has run it. */
export function keeps(client: ClientBase, statement: KeptStatement): void {
  const kept = keptBy.get(client)
  if (kept instanceof Set) kept.add(statement)
}

/** Somebody made the server forget (DISCARD ALL, DEALLOCATE ALL): nothing is kept for this client any more. */
export function giveUpPrepared(client: ClientBase, error: unknown): void {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  if (code === '26000') keptBy.set(client, 'nothing')
}

/**
 * BEGIN and a statement that the server keeps already, as one message. Undefined where it does not, or a value has no literal. A comment
 * at the beginning stays there, where pg_stat_activity shows it.
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
 */
export function beginWith(client: ClientBase, begin: string, opening: Statement): string | undefined {
  const kept = keptBy.get(client)
  const statement = keptStatement(client, opening)
  if (statement === undefined || !(kept instanceof Set) || !kept.has(statement)) return undefined
  const literals = opening.parameters.map((value) => literalOf(client, value))
  if (literals.includes(undefined)) return undefined
  return `${statement.comment} ${begin}; execute ${statement.name}(${literals.join(', ')})`
}

// Ids, numbers and names, which are most of what is asked with: the driver escapes a character at a time.
const plainText = /^[\w .:/+-]*$/

/** Of the parameter's type, as that of a statement with `$1` is: the server reads it from the text. */
function literalOf(client: ClientBase, value: unknown): string | undefined {
  if (value === null || value === undefined) return 'null'
  if (value instanceof Date) return `'${value.toISOString()}'`
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return `'${value}'`
  if (typeof value !== 'string') return undefined
  if (plainText.test(value)) return `'${value}'`
  // A message of several statements ends with a NUL.
  return value.includes('\u0000') ? undefined : client.escapeLiteral(value)
}
