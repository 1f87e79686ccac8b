import type { GroupAssignment, KafkaClient, TopicOffsets } from '@oncebox/kafka'
import type { Handlers } from '../handlers.js'
import type { ReadLags } from '../housekeeping/mark-housekeeper.js'
import type { Reporter } from '../report.js'
import type { PartitionEffects } from './partition-effects.js'

/** What a mode may use of one generation of the group. */
export interface Generation {
  readonly client: KafkaClient
  readonly assignment: GroupAssignment
  /** The id of the topic that has this name now, and what its logs hold. */
  readonly topicOffsets: (topic: string, signal: AbortSignal) => Promise<TopicOffsets>
}

/** Work beside the partitions, from start to stop. */
export interface Background {
  /** Begins nothing more; resolves when what is in hand is finished. Never throws. */
  stop(): Promise<void>
  /** Gives up what is in hand: handlers see their signal aborted. */
  abort(reason: Error): void
  /** The server processes of the transactions in hand. */
  readonly backends: Iterable<number>
}

/** One way to bring events to their effects, with its guarantee. */
export interface Mode<Context> {
  /** Events that are handled in one step unless options or handlers say something else. */
  readonly eventsTogetherMax: number
  /**
   * Before the group is joined: whether what it needs is there.
   * @throws OutboxError
   */
  prepare(signal: AbortSignal): Promise<void>
  /**
   * Where the partitions of a topic stand, and what is needed to bring their events to their end. First positions are written
   * before anything is fetched.
   * @throws OutboxError CONSUMER_POSITION_OUT_OF_RANGE, or whatever keeps the mode from its database, Redis or Kafka
   */
  open(
    generation: Generation,
    topic: string,
    partitions: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly PartitionEffects<Context>[]>
  /** What this mode does beside the partitions. Begins when it is called. Absent where there is nothing. */
  startBackground?(handlers: Handlers<Context>, report: Reporter, readLags: ReadLags): Background
  /** Ends what server processes still do for handlers that outlived the stop timeout. Never throws. */
  endBackends(backends: readonly number[]): Promise<void>
}
