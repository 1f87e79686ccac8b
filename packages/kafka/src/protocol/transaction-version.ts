/**
 * Which protocol a transaction is run in: 2 is KIP-890, where each EndTxn raises the epoch and Produce adds partitions
 * by itself; 1 is what brokers speak whose finalized `transaction.version` is below 2, Kafka 3.9 for example.
 */
export type TransactionVersion = 1 | 2

/** From the finalized features of a cluster; level 1 changed only how the coordinator stores its state. */
export const transactionVersionOf = (features: ReadonlyMap<string, number>): TransactionVersion =>
  (features.get('transaction.version') ?? 0) >= 2 ? 2 : 1
