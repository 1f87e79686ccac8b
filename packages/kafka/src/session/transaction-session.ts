import type { PartitionRecords } from '../records/partition-records.js'

/**
 * `poisoned`: something went wrong in a way that only a new session can clear. `fenced`: the transactional ids belong
 * to another session by now (or a transaction outlived its timeout).
 */
export type SessionState = 'ready' | 'poisoned' | 'fenced' | 'closed'

/** One call is one whole Kafka transaction, so that no caller can drive a producer into an unsafe order of steps. */
export interface TransactionSession extends AsyncDisposable {
  readonly state: SessionState
  /** Every producer id that this session has had. */
  readonly producerIds: readonly bigint[]
  /**
   * Publishes all records and offsets or none. May be called again before the last call has settled, but not a third time: at most
   * one undecided transaction is ahead. Transactions take effect in the order of the calls; when one does not commit,
   * the one behind it does not either.
   *
   * @throws KafkaFailure whose `outcome` says what became of the records. After anything but a clean abort the session
   *   is poisoned: open a new one, read the position, decide.
   */
  publish(transaction: Transaction): Promise<Receipt>
  /** Ends the connections. An unfinished transaction is left to the next session, which aborts it. Safe to call twice. */
  close(): Promise<void>
}

/** A session that began with a claim. */
export interface ClaimedSession extends TransactionSession {
  /** Offset of this session's claim record. Every position of an earlier session is below it, and none will be added there. */
  readonly claimOffset: bigint
}

/** At least one record, or one offset. */
export interface Transaction {
  /** The partitions without a record are left out. */
  readonly partitions?: readonly PartitionRecords[]
  /** What the records were made of: read, process and write take effect together. */
  readonly offsets?: ConsumedOffsets
  /** Awaited before EndTxn(commit), while the records are on their way. When it rejects, the transaction is aborted. */
  readonly gate?: Promise<unknown>
  /** Bounds the whole call, the wait for the transaction ahead included. Default: the transaction timeout. */
  readonly deadlineMs?: number
}

/**
 * Offsets of a consumer group, as the member of one generation: a member that has lost its partitions meanwhile is
 * refused with KAFKA_GROUP_FENCED, and its transaction is aborted (KIP-447).
 */
export interface ConsumedOffsets {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId?: string | null
  readonly offsets: readonly {
    readonly topic: string
    readonly partition: number
    /** The next offset to read: one behind the last that was processed. */
    readonly offset: bigint
    /** Of the last record that was processed; default -1, not known. */
    readonly leaderEpoch?: number
    /** At most `offset.metadata.max.bytes` of the broker, 4,096 by default. */
    readonly metadata?: string
  }[]
}

export interface Receipt {
  /** One entry per partition with records. */
  readonly placed: readonly {
    readonly topic: string
    readonly partition: number
    readonly baseOffset: bigint
    /** Once the last stable offset is past it, the commit marker is written (KAFKA-20734 can skip it). */
    readonly lastOffset: bigint
    readonly count: number
  }[]
}
