/** A client under test: a program that plays its driver, and what a reader of the report has to know about it. */
export interface Client {
  readonly name: string
  readonly version: string
  /** Of the Node that runs it. */
  readonly nodeVersion: string
  readonly program: string
  readonly arguments: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** One sentence each: what it is used with, and which of that is not its default. */
  readonly settings: readonly string[]
  /** How many transactional ids a producer uses in turn. */
  readonly idsInTurn: 1 | 2
  /** Whether records can be added to a transaction step by step, or one call has them all. */
  readonly addsRecords: boolean
}
