import { delay, nextDelayMs, OutboxError } from '@oncebox/core'
import type { EventRunner } from './event-runner.js'
import type { ResolvedConsumerOptions } from './options.js'
import { Partition, type BatchControls, type FetchedBatch } from './partition.js'
import { readStarts, type Positioning } from './positioning.js'
import type { Reporter } from './report.js'

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** What the assignment needs of the group's client: to hold partitions back and to place them. */
export interface FetchControls {
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  seek(partition: TopicPartition & { readonly offset: bigint }): void
}

interface AssignmentHooks {
  /** All partitions of the current assignment are positioned. */
  readonly onPositioned: () => void
  /** Nothing but a person can help. */
  readonly onFatal: (error: OutboxError) => void
}

const doubtBackoff = { minMs: 50, maxMs: 5_000 }
const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}\n${partition}`

/**
 * The partitions that this member owns now. A partition is held back from the moment it is assigned until its position
 * is read and sought, so nothing is handled that was fetched from Kafka's idea of the offset. Any doubt about a
 * position drops what is in memory and reads it again.
 */
export class Assignment<Tx> {
  readonly #options: ResolvedConsumerOptions<Tx>
  readonly #runner: EventRunner<Tx>
  readonly #positioning: Positioning
  readonly #report: Reporter
  readonly #hooks: AssignmentHooks
  readonly #partitions = new Map<string, Partition<Tx>>()
  /** Doubts in a row, and where the refused batch was fetched. */
  readonly #doubts = new Map<string, { count: number; refused?: bigint | undefined }>()
  /** Partitions with a batch in hand, also those that are not ours any more. */
  readonly #inHand = new Set<Partition<Tx>>()
  readonly #tasks = new Set<Promise<void>>()
  #generation = new AbortController()

  constructor(
    options: ResolvedConsumerOptions<Tx>,
    runner: EventRunner<Tx>,
    positioning: Positioning,
    report: Reporter,
    hooks: AssignmentHooks,
  ) {
    this.#options = options
    this.#runner = runner
    this.#positioning = positioning
    this.#report = report
    this.#hooks = hooks
  }

  /** Server processes of the transactions in hand. */
  get backends(): readonly number[] {
    return [...this.#inHand].flatMap(({ backend }) => (backend === undefined ? [] : [backend]))
  }

  /** Replaces the assignment. Synchronous up to the pause: the client may fetch as soon as this returns. */
  replace(partitions: readonly TopicPartition[], fetches: FetchControls): void {
    this.abort(revoked())
    this.#generation = new AbortController()
    fetches.pause(partitions)
    this.#start(
      this.#position(partitions, fetches, this.#generation.signal).then((done) => {
        if (!done) return
        this.#report.assigned(partitions)
        this.#hooks.onPositioned()
      }),
    )
  }

  /** Handles a batch of an owned, positioned partition; anything else is left for a later fetch. */
  async handle(
    at: TopicPartition,
    batch: FetchedBatch,
    controls: BatchControls,
    fetches: FetchControls,
  ): Promise<void> {
    const partition = this.#partitions.get(nameOf(at))
    if (partition === undefined) return
    this.#inHand.add(partition)
    try {
      await partition.handle(batch, controls)
      this.#doubts.delete(nameOf(at))
    } catch (error) {
      if (partition.signal.aborted) return
      this.#doubt(partition, batch.fetchedOffset, error, fetches)
    } finally {
      this.#inHand.delete(partition)
    }
  }

  /** The client passed over records that nobody sees. */
  passOver(at: TopicPartition, first: bigint, last: bigint, fetches: FetchControls): void {
    const partition = this.#partitions.get(nameOf(at))
    if (partition === undefined) return
    this.#start(
      partition.passOver(first, last).catch((error: unknown) => {
        if (!partition.signal.aborted) this.#doubt(partition, undefined, error, fetches)
      }),
    )
  }

  /** Reads all positions of a topic again: it has another id now. */
  reread(topic: string, fetches: FetchControls): void {
    for (const partition of this.#partitions.values()) {
      if (partition.key.topic === topic)
        this.#doubt(partition, undefined, new Error(`${topic} was created again`), fetches)
    }
  }

  /** The ids that the owned topics had when they were positioned. */
  topicIds(): ReadonlyMap<string, string> {
    return new Map([...this.#partitions.values()].map(({ key }) => [key.topic, key.topicId]))
  }

  /** Gives up everything in hand. Handlers see their signal aborted. */
  abort(reason: Error): void {
    this.#generation.abort(reason)
    for (const partition of this.#partitions.values()) partition.abort(reason)
    this.#partitions.clear()
    this.#doubts.clear()
  }

  /** Resolves when nothing runs in the background any more. */
  async settled(): Promise<void> {
    while (this.#tasks.size > 0) await Promise.allSettled(this.#tasks)
  }

  #doubt(
    partition: Partition<Tx>,
    refused: bigint | undefined,
    error: unknown,
    fetches: FetchControls,
  ): void {
    const { topic, partition: number } = partition.key
    const name = nameOf(partition.key)
    if (this.#partitions.get(name) !== partition) return
    this.#partitions.delete(name)
    partition.abort(revoked())
    this.#report.repositioning(topic, number, error)
    try {
      fetches.pause([partition.key])
    } catch {
      return // the client has ended: the assignment of the next one begins anew
    }
    const count = (this.#doubts.get(name)?.count ?? 0) + 1
    this.#doubts.set(name, { count, refused })
    const { signal } = this.#generation
    this.#start(
      delay(count === 1 ? 0 : nextDelayMs(doubtBackoff, count - 1), signal).then(
        () => this.#position([{ topic, partition: number }], fetches, signal).then(() => undefined),
        () => undefined,
      ),
    )
  }

  /** Whether the partitions were positioned; false when the assignment is not current any more. */
  async #position(
    partitions: readonly TopicPartition[],
    fetches: FetchControls,
    signal: AbortSignal,
  ): Promise<boolean> {
    const results = await Promise.all(
      [...new Set(partitions.map(({ topic }) => topic))].map((topic) =>
        this.#positionTopic(
          topic,
          partitions.filter((one) => one.topic === topic),
          fetches,
          signal,
        ),
      ),
    )
    return results.every(Boolean)
  }

  async #positionTopic(
    topic: string,
    partitions: readonly TopicPartition[],
    fetches: FetchControls,
    signal: AbortSignal,
  ): Promise<boolean> {
    for (let failures = 0; !signal.aborted;) {
      try {
        const starts = await readStarts(
          this.#positioning,
          topic,
          partitions.map(({ partition }) => partition),
          signal,
        )
        if (signal.aborted) return false
        for (const start of starts) {
          const name = nameOf(start.key)
          this.#partitions.set(
            name,
            new Partition(this.#options, this.#runner, this.#positioning.positions, {
              ...start,
              refused: this.#doubts.get(name)?.refused,
            }),
          )
          fetches.seek({ ...start.key, offset: start.position.next })
        }
        fetches.resume(partitions)
        return true
      } catch (error) {
        if (signal.aborted) return false
        if (OutboxError.is(error, 'CONSUMER_POSITION_OUT_OF_RANGE')) {
          this.#hooks.onFatal(error)
          return false
        }
        failures += 1
        this.#report.repositioning(topic, partitions[0]?.partition ?? 0, error)
        await delay(nextDelayMs(doubtBackoff, failures), signal).catch(() => undefined)
      }
    }
    return false
  }

  #start(task: Promise<void>): void {
    const tracked = task.finally(() => this.#tasks.delete(tracked))
    this.#tasks.add(tracked)
  }
}

/** Why a handler's signal is aborted when its partition goes to somebody else. */
export const revoked = (): OutboxError =>
  new OutboxError('CONSUMER_REVOKED', 'the partition was taken away or its position is in doubt')
