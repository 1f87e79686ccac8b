import { OutboxError, type Database, type SqlConnection, type StatementOptions } from '@oncebox/core'
import { sqlState } from './failure.js'

// Insufficient privilege; a schema, table, column or function that is not there.
const refusals = /^(42501|3F000|42P01|42703|42883)$/

/**
 * The database for statements of ours. What it refuses to this role, or for want of our schema, will not be different the
 * next time: that has a code of its own, and counts against no event. Handlers have their own connection. The opening statement of a
 * transaction is its caller's to look after, with {@link ownError}.
 */
export function ownDatabase<Tx>(db: Database<Tx>): Database<Tx> {
  return {
    driver: db.driver,
    transaction: (work, options) => db.transaction(work, options),
    inside: (tx) => ownStatements(db.inside(tx)),
    outside: ownStatements(db.outside),
  }
}

const ownStatements = (connection: SqlConnection): SqlConnection => ({
  query: async <Row extends object>(
    sql: string,
    parameters?: readonly unknown[],
    options?: StatementOptions,
  ) => {
    try {
      return await connection.query<Row>(sql, parameters, options)
    } catch (error) {
      throw ownError(error)
    }
  },
})

/** An error of a statement of ours. */
export const ownError = (error: unknown): unknown => refused(error) ?? error

function refused(error: unknown): OutboxError | undefined {
  const state = sqlState(error)
  if (state === '23514' && constraintOf(error) === 'marks_emptied')
    return new OutboxError(
      'CONSUMER_EVENT_TOO_OLD',
      'the event is older than the dedup window of its consumer: whether it took effect is not known any more',
      { cause: error },
    )
  if (state === undefined || !refusals.test(state)) return undefined
  const reason = error instanceof Error ? error.message : String(error)
  return new OutboxError('CONSUMER_DATABASE_REFUSED', `the database refuses a statement: ${reason}`, {
    cause: error,
    details: { sqlState: state },
  })
}

/** The name of the constraint that was violated, as both drivers tell it. */
const constraintOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'constraint' in error ? error.constraint : undefined
