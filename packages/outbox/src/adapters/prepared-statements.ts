/** Statements that the server keeps, parsed and planned, where a client is connected to one server process and no other. */
import { createHash } from 'node:crypto'
import type { ClientBase } from 'pg'

// pg's own field, not in its types: the process that the server named when the connection was made.
interface Connected {
  readonly processID?: number
}

/** Whether a client reaches one server process only; unknown until it was asked once. */
const isDirect = new WeakMap<ClientBase, boolean>()
const names = new Map<string, string>()
const namesMax = 1_000

/**
 * Learns, once for each client, whether it talks to one server process: a pooler (PgBouncer, Odyssey) names none that exists, and hands
 * each transaction to another one, which does not know what the last one was told to keep. A round trip, the first time. Never throws: a
 * connection that is lost shows in the next statement.
 */
export async function learnDirectness(client: ClientBase & Connected): Promise<void> {
  if (isDirect.has(client)) return
  const answer = await client
    .query<{ process: number }>('select pg_backend_pid() as process')
    .catch(() => undefined)
  isDirect.set(client, answer !== undefined && answer.rows[0]?.process === client.processID)
}

/** The name under which the server keeps a statement for this client; undefined where it has to be sent whole each time. */
export function preparedName(client: ClientBase, sql: string): string | undefined {
  if (isDirect.get(client) !== true) return undefined
  const known = names.get(sql)
  if (known !== undefined) return known
  if (names.size >= namesMax) return undefined
  const name = `oncebox_${createHash('sha256').update(sql).digest('hex').slice(0, 32)}`
  names.set(sql, name)
  return name
}

/** Somebody made the server forget (DISCARD ALL, DEALLOCATE ALL): nothing is kept for this client any more. */
export function giveUpPrepared(client: ClientBase, error: unknown): void {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  if (code === '26000') isDirect.set(client, false)
}
