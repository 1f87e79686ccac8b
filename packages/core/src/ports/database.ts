/**
 * What oncebox needs of a database driver: a transaction of the driver's own kind, and SQL inside it. Adapters:
 * `fromPg(pool)` and `fromKnex(knex)` in @oncebox/outbox.
 */
export interface Database<Tx> {
  readonly driver: string
  /**
   * Begins, runs `work`, commits, and checks that the commit happened. Rolls back when `work` throws.
   * @param work Given the answer of the opening statement, where that has been run.
   * @throws OutboxError OUTBOX_COMMIT_ROLLED_BACK when COMMIT was answered with ROLLBACK, OUTBOX_COMMIT_UNKNOWN when
   *   the connection was lost during COMMIT and the outcome could not be learned.
   */
  transaction<Result>(
    work: (tx: Tx, opened?: SqlResult<object>) => Promise<Result>,
    options?: TransactionOptions,
  ): Promise<Result>
  /** SQL on the connection of `tx`. Throws OUTBOX_NOT_IN_TRANSACTION unless `tx` is a transaction in progress. */
  inside(tx: Tx): SqlConnection
  /** SQL on a connection of its own, outside any transaction of the caller. */
  readonly outside: SqlConnection
}

export interface TransactionOptions {
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable' | undefined
  /**
   * The first statement of `work`, which may be sent with BEGIN, in one message: a round trip less. `work` is given its answer then,
   * and runs it otherwise. Where it fails, the transaction does, before `work` is called.
   */
  readonly opening?: Statement | undefined
  /** Runs last inside the transaction, after `work`: the outbox inserts its buffered events here. */
  readonly beforeCommit?: (connection: SqlConnection) => Promise<void>
  /** Asked when the connection is lost during COMMIT: what became of the transaction? Default: unknown. */
  readonly resolveCommit?: (connection: SqlConnection) => Promise<'committed' | 'rolled-back' | 'unknown'>
  /** Awaited when COMMIT is on its way: the crash window of a caller with a fault point. */
  readonly commitSent?: () => void | Promise<void>
}

/** A statement with its parameters. */
export interface Statement extends StatementOptions {
  readonly sql: string
  readonly parameters: readonly unknown[]
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
   *
   * A text is kept in place of the other one: a statement that calls a function, since the server keeps the plans of those for
   * every client, needs none where its own plan is kept.
   */
  readonly prepare?: boolean | string
}

export interface SqlResult<Row> {
  readonly rows: readonly Row[]
  readonly rowCount: number
}
