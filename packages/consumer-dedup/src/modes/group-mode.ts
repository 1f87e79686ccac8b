import type { AnyTopic } from '@oncebox/core'
import { readTopicSettings } from '@oncebox/kafka'
import type { AckContext, HandlerContext, KafkaContext, RedisContext } from '../event.js'
import {
  eventsTogetherMax,
  type ResolvedGroupOptions,
  type ResolvedKafkaModeOptions,
  type ResolvedRedisModeOptions,
  type ResolvedUnguardedOptions,
} from '../resolved-options.js'
import { GroupPosition } from '../positions/group-position.js'
import { readGroupStarts } from '../positions/group-starts.js'
import { beginningOf } from '../positions/beginning-of.js'
import { assertDedupWindow } from '../redis/window.js'
import { TransactionalSender } from '../sending/transactional-sender.js'
import { KafkaPartition } from './kafka.js'
import { ManualAckPartition } from './manual-ack.js'
import type { Generation, Mode } from './mode.js'
import type { PartitionEffects } from './partition-effects.js'
import { RedisPartition } from './redis.js'
import { AtLeastOncePartition, AtMostOncePartition } from './unguarded.js'

/** The modes whose position is the group's offset in Kafka. */
abstract class GroupMode<Context, Options extends ResolvedGroupOptions> implements Mode<Context> {
  abstract readonly eventsTogetherMax: number
  protected readonly options: Options

  constructor(options: Options) {
    this.options = options
  }

  endBackends(): Promise<void> {
    return Promise.resolve()
  }

  prepare(_signal: AbortSignal): Promise<void> {
    return Promise.resolve()
  }

  async open(
    generation: Generation,
    topic: string,
    partitions: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly PartitionEffects<Context>[]> {
    const offsets = await generation.topicOffsets(topic, signal)
    const opened = partitions.map((partition) => ({
      partition,
      sender: this.#sender(generation, offsets.topicId, partition),
    }))
    try {
      await this.beforeReading(
        opened.map(({ sender }) => sender),
        signal,
      )
      const { client, assignment, topicOffsets } = generation
      const beginning = beginningOf(this.options, topic)
      const request = { client, assignment, topic, partitions, beginning, offsets, topicOffsets, signal }
      const starts = await readGroupStarts(request)
      return opened.flatMap(({ partition, sender }) =>
        starts
          .filter(({ key }) => key.partition === partition)
          .map((start) => this.partition(generation, new GroupPosition(assignment, start), sender)),
      )
    } catch (error) {
      await Promise.allSettled(opened.map(({ sender }) => sender.close()))
      throw error
    }
  }

  /** What has to be so before positions are read. */
  protected beforeReading(_senders: readonly TransactionalSender[], _signal: AbortSignal): Promise<void> {
    return Promise.resolve()
  }

  protected abstract partition(
    generation: Generation,
    position: GroupPosition,
    sender: TransactionalSender,
  ): PartitionEffects<Context>

  #sender({ client }: Generation, topicId: string, partition: number): TransactionalSender {
    const { name, transactionTimeoutMs, compression } = this.options
    return new TransactionalSender(client, {
      transactionalId: `oncebox-consumer:${name}:${topicId}:${partition}`,
      transactionTimeoutMs,
      compression,
    })
  }
}

/** The mode `at-least-once` with acknowledgements. */
export class ManualAckMode extends GroupMode<AckContext, ResolvedUnguardedOptions> {
  /** Each is acknowledged by itself. */
  readonly eventsTogetherMax = 1

  protected partition(
    _generation: Generation,
    position: GroupPosition,
    sender: TransactionalSender,
  ): PartitionEffects<AckContext> {
    return new ManualAckPartition(this.options, position, sender)
  }
}

/** The modes `at-least-once` and `at-most-once`. */
export class UnguardedMode extends GroupMode<HandlerContext, ResolvedGroupOptions> {
  /** Nothing undoes what the first ones did when a later one fails. */
  readonly eventsTogetherMax = 1

  protected partition(
    _generation: Generation,
    position: GroupPosition,
    sender: TransactionalSender,
  ): PartitionEffects<HandlerContext> {
    return this.options.mode === 'at-most-once'
      ? new AtMostOncePartition(this.options, position, sender)
      : new AtLeastOncePartition(this.options, position, sender)
  }
}

/** The mode `kafka`. */
export class KafkaMode<Topics extends readonly AnyTopic[]> extends GroupMode<
  KafkaContext<Topics>,
  ResolvedKafkaModeOptions
> {
  readonly eventsTogetherMax = eventsTogetherMax

  /** The sessions first: what a predecessor had begun is decided before the offsets are read, and nothing of it comes later. */
  protected override async beforeReading(
    senders: readonly TransactionalSender[],
    signal: AbortSignal,
  ): Promise<void> {
    await Promise.all(senders.map((sender) => sender.open(signal)))
  }

  protected partition(
    { assignment }: Generation,
    position: GroupPosition,
    sender: TransactionalSender,
  ): PartitionEffects<KafkaContext<Topics>> {
    return new KafkaPartition<Topics>(this.options, position, assignment.metadata, sender)
  }
}

/** The mode `redis`. */
export class RedisMode extends GroupMode<RedisContext, ResolvedRedisModeOptions> {
  /** A command that fails takes the effects of the others with it. */
  readonly eventsTogetherMax = 1

  override async prepare(signal: AbortSignal): Promise<void> {
    await this.options.dedup.check({ signal })
  }

  override async open(
    generation: Generation,
    topic: string,
    partitions: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly PartitionEffects<RedisContext>[]> {
    const { dedup, redelivery } = this.options
    const horizon = redelivery ?? (await readHorizon(generation, topic, signal))
    assertDedupWindow({ retentionMs: dedup.retentionMs, ...horizon })
    return await super.open(generation, topic, partitions, signal)
  }

  protected partition(
    _generation: Generation,
    position: GroupPosition,
    sender: TransactionalSender,
  ): PartitionEffects<RedisContext> {
    return new RedisPartition(this.options, position, sender)
  }
}

async function readHorizon(
  { client }: Generation,
  topic: string,
  signal: AbortSignal,
): Promise<{ readonly topicRetentionMs: number; readonly segmentMs: number }> {
  const settings = await readTopicSettings(client, topic, ['retention.ms', 'segment.ms'], signal)
  return {
    topicRetentionMs: Number(settings.get('retention.ms')),
    segmentMs: Number(settings.get('segment.ms')),
  }
}
