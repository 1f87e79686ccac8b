import type { GroupAssignment, KafkaClient, TopicOffsets } from '@oncebox/kafka'
import type { PartitionEffects } from './partition-effects.js'

/** What a mode may use of one generation of the group. */
export interface Generation {
  readonly client: KafkaClient
  readonly assignment: GroupAssignment
  /** The id of the topic that has this name now, and what its logs hold. */
  readonly topicOffsets: (topic: string, signal: AbortSignal) => Promise<TopicOffsets>
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
   * Where the partitions of a topic stand. First positions are written before anything is fetched.
   * @throws OutboxError CONSUMER_POSITION_OUT_OF_RANGE
   */
  open(
    generation: Generation,
    topic: string,
    partitions: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly PartitionEffects<Context>[]>
  /** Ends what server processes still do for handlers that outlived the stop timeout. Never throws. */
  endBackends(backends: readonly number[]): Promise<void>
}
