import type { Client } from 'pg'
import type { PublishedMessage } from '@oncebox/core'
import type { KafkaClient, Receipt } from '@oncebox/kafka'
import type { DatabaseConnections } from '../database-connections.js'
import type { OpenShard } from '../opening/open-shard.js'
import type { ResolvedRelayOptions } from '../options.js'
import type { Position, WindowName } from '../position.js'
import type { Wakeup } from '../reading/wakeup.js'
import {
  WindowReader,
  type Cursor,
  type PageReader,
  type WindowReaderOptions,
} from '../reading/window-reader.js'
import type { WindowKey } from './confirmation.js'
import type { Demand } from './demand.js'
import { haltOf } from './refusals.js'
import { ShardPublisher } from './shard-publisher.js'

export interface PublishShardRequest {
  readonly options: ResolvedRelayOptions
  readonly open: OpenShard
  readonly kafka: KafkaClient
  readonly database: DatabaseConnections
  readonly wakeup: Wakeup
  readonly observer: PublishObserver
  readonly openReader: OpenReader
  /** Raised when rotation waits for this shard. Nobody asks a shard that is being closed. */
  readonly demand?: Demand
  readonly signal: AbortSignal
}

/** Opens what the shard is read with. */
export type OpenReader = (client: Client, options: WindowReaderOptions) => PageReader

export const openWindowReader: OpenReader = (client, options) => new WindowReader(client, options)

/** What metrics, health and logs learn while a shard is published. */
export interface PublishObserver {
  /** A page is being read. */
  reading(cursor: Cursor): void
  /** A batch is on its way to these topics. */
  publishing(topics: readonly string[]): void
  /** Nothing is on its way any more: it goes on from the last committed position. */
  wentBack(): void
  /** A poll found nothing. */
  idle(): void
  published(batch: PublishedBatch): void
  /** It waits for a topic, or for an event of its own, and will try again; told with each attempt. */
  halted(error: unknown): void
  /** What it waited for has passed. */
  resumed(): void
  /** So many events were set aside, and so many keys are parked now. */
  setAside(letters: number, parkedKeys: number): void
  /** Dead letters, or events of a replay, wait for their topic; everything else goes on. */
  copiesWait(error: unknown): void
  /** What was published cannot be confirmed: rotation waits, rows stay. */
  unconfirmed(error: unknown): void
}

/** Of nobody who wants to know. */
export const nobody: PublishObserver = {
  reading: () => undefined,
  publishing: () => undefined,
  wentBack: () => undefined,
  idle: () => undefined,
  published: () => undefined,
  halted: () => undefined,
  resumed: () => undefined,
  setAside: () => undefined,
  copiesWait: () => undefined,
  unconfirmed: () => undefined,
}

/** How far a shard is when its publishing was stopped. */
export interface PublishedUpTo {
  /** As it stands in Kafka. */
  readonly position: Position
  /** The newest window that was recorded; an empty one is in no position. */
  readonly window: WindowName
  /** The newest window that is published for good. */
  readonly confirmed: WindowKey | undefined
}

/** What is said of a batch on `oncebox:relay:published`. */
type PublishedBatch = Omit<PublishedMessage, 'relay' | 'shard' | 'epoch' | 'position'> & {
  readonly receipt: Receipt
}

/**
 * Windows to batches to Kafka, one transaction a batch, the position inside it. Events that cannot be published are set
 * aside, or waited for; so is a topic that is refused. Returns when the signal is aborted and what is in hand is committed;
 * throws at the first doubt, and then the shard is opened again from Kafka.
 *
 * Reads ahead only while full batches come back: it speeds up a drain, and doubles the latency of a trickle.
 */
export async function publishShard(request: PublishShardRequest): Promise<PublishedUpTo> {
  try {
    return await new ShardPublisher(request).run()
  } catch (error) {
    throw haltOf(error, request.open.progress.name) ?? error
  }
}
