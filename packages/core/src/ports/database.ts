/**
 * What oncebox needs of a database driver: a transaction of the driver's own kind, and SQL inside it. Adapters:
 * `fromPg(pool)` and `fromKnex(knex)` in @oncebox/outbox.
 */
export interface Database<Tx> {
  readonly driver: string
  /**
   * Begins, runs `work`, commits, and checks that the commit happened. Rolls back when `work` throws.
   * @throws OutboxError OUTBOX_COMMIT_ROLLED_BACK when COMMIT was answered with ROLLBACK, OUTBOX_COMMIT_UNKNOWN when
   *   the connection was lost during COMMIT and the outcome could not be learned.
   */
  transaction<Result>(work: (tx: Tx) => Promise<Result>, options?: TransactionOptions): Promise<Result>
  /** SQL on the connection of `tx`. Throws OUTBOX_NOT_IN_TRANSACTION unless `tx` is a transaction in progress. */
  inside(tx: Tx): SqlConnection
  /** SQL on a connection of its own, outside any transaction of the caller. */
  readonly outside: SqlConnection
}

export interface TransactionOptions {
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable'
  /** Runs last inside the transaction, after `work`: the outbox inserts its buffered events here. */
  readonly beforeCommit?: (connection: SqlConnection) => Promise<void>
  /** Asked when the connection is lost during COMMIT: what became of the transaction? Default: unknown. */
  readonly resolveCommit?: (connection: SqlConnection) => Promise<'committed' | 'rolled-back' | 'unknown'>
  /** Awaited when COMMIT is on its way: the crash window of a caller with a fault point. */
  readonly commitSent?: () => void | Promise<void>
}

/** SQL with `$1` parameters, on PostgreSQL, whatever the driver. */
export interface SqlConnection {
  query<Row extends object>(
    sql: string,
    parameters?: readonly unknown[],
    options?: StatementOptions,
  ): Promise<SqlResult<Row>>
}

export interface StatementOptions {
  /**
   * The same text comes again and again: the server may keep it, parsed and planned. For statements with parameters, whose text is
   * one of few. An adapter does that only where it is safe, never behind a pooler.
   */
  readonly prepare?: boolean
}

export interface SqlResult<Row> {
  readonly rows: readonly Row[]
  readonly rowCount: number
}
