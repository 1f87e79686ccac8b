/** How many events a transaction has, and how many a drain sends with it: a measurement takes seconds, whatever the size. */
export interface TransactionSize {
  readonly eventsPerTransaction: number
  /** Measured, in whole transactions. */
  readonly events: number
  /** Sent before the clock starts, in the same process: connections, metadata, and code that is compiled as it runs. */
  readonly warmUpEvents: number
}

const usual = [
  [1, 400],
  [100, 20_000],
  [1_000, 100_000],
  [10_000, 300_000],
] as const

/** The sizes of a run in which no drain measures more than `eventsMax` events (one transaction is the least). */
export const transactionSizes = (eventsMax: number): readonly TransactionSize[] =>
  usual.map(([eventsPerTransaction, events]) => {
    const transactions = Math.max(1, Math.floor(Math.min(events, eventsMax) / eventsPerTransaction))
    return {
      eventsPerTransaction,
      events: transactions * eventsPerTransaction,
      warmUpEvents: Math.ceil(transactions / 2) * eventsPerTransaction,
    }
  })
