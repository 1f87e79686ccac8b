import type { Client } from 'pg'
import type { KafkaClient } from '@oncebox/kafka'
import type { Position } from '../position.js'
import type { Snapshot } from '../reading/snapshot.js'
import type { RowScope } from './scan-rows.js'

export interface CompareRequest {
  /** In a REPEATABLE READ transaction whose snapshot is `at`, with ACCESS SHARE on all slots taken before it. */
  readonly client: Client
  readonly at: Snapshot
  readonly kafka: KafkaClient
  readonly scope: RowScope
  /** False when the outbox was published to another cluster before. */
  readonly isOwnCluster: boolean
  /** Positions in Kafka whose window records are in this database, by place. */
  readonly positions: ReadonlyMap<string, Position>
  /** How long open transactions on the topics are waited for. */
  readonly decidedWithinMs: number
  /** Opened after the topics were read, when relays may be running: for what was committed meanwhile. */
  readonly connectLate?: () => Promise<Client>
  readonly onProgress: (sentence: string) => void
  readonly signal: AbortSignal
}
