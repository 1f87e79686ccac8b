import { invariant } from '@oncebox/core'
import type { Position } from '../position.js'
import { isVisible, type Snapshot } from '../reading/snapshot.js'
import { shardOf } from '../sharing/shard-map.js'
import type { ComparedTopic } from './compared-topic.js'
import type { RecordedOrder } from './load-order.js'
import {
  isCovered,
  isSurelyBefore,
  placeOf,
  type Anchor,
  type Numbering,
  type Place,
  type Placeable,
} from './publication-order.js'

/** What is known of an event that is in the outbox and not in its topic. */
export type Finding =
  /** It is not there for certain. `published`: it once was, for certain, and Kafka has lost it. */
  | { readonly kind: 'absent'; readonly published: boolean }
  /** It was published, and is not there any more: retention, or an earlier adoption decided about it. */
  | { readonly kind: 'gone' }
  /** The first start was told to leave it out. */
  | { readonly kind: 'left-out' }
  /** It is among the dead letters, to be requeued or discarded from there. */
  | { readonly kind: 'dead-letter' }
  /** Nobody can know. */
  | { readonly kind: 'unknown'; readonly why: 'compacted' | 'not-behind-a-record' | 'no-such-partition' }

/** What of a row decides its place. */
export interface Placed {
  readonly txid: bigint
  readonly writtenBy: bigint
  readonly seq: bigint
  readonly bucket: number
  readonly topic: number
}

/** A row, as far as evidence is about it. */
export interface Suspect extends Placed {
  readonly isDeadLetter: boolean
  /** The partition that it asks for. */
  readonly partition: number | undefined
  partitionOf(partitions: number): number
}

/** The transaction id that an adoption gives to rows whose own belongs to another cluster: older than any. */
export const adoptedTxid = 3n

export interface EvidenceParts {
  readonly order: RecordedOrder
  /** By the number that rows name them by. */
  readonly topics: readonly ComparedTopic[]
  /** False when the outbox was published to another cluster: a mirror need not have begun with the first record. */
  readonly isOwnCluster: boolean
  /** By place: the position in Kafka, where its window record is in this database. */
  readonly positions: ReadonlyMap<string, Position>
  /** By place: how far the confirmed windows go. */
  readonly publishedTo: ReadonlyMap<string, Snapshot>
  /** By topic and partition, as {@link partitionName} names them: first records, published in their turn. */
  readonly anchors: ReadonlyMap<string, readonly Anchor[]>
  readonly copiers: ReadonlySet<bigint>
}

/** Says of each event that was not found what is known of it, and never more than that. */
export class Evidence {
  readonly #parts: EvidenceParts

  constructor(parts: EvidenceParts) {
    this.#parts = parts
  }

  judge(row: Suspect): Finding {
    if (row.isDeadLetter) return { kind: 'dead-letter' }
    const place = this.placeOf(row)
    if (place === 'left out') return { kind: 'left-out' }
    if (place === 'adopted') return { kind: 'gone' }
    const topic = this.#topic(row)
    const partitions = candidatesOf(row, topic.partitions.length)
    const isThere = partitions.every((partition) => topic.partitions[partition] !== undefined)
    const published = this.wasPublished(row)
    if (
      !topic.isCompacted &&
      isThere &&
      partitions.every((partition) => this.#isAbsentIn(partition, row, place))
    )
      return { kind: 'absent', published }
    if (published) return { kind: 'gone' }
    return {
      kind: 'unknown',
      why: !isThere ? 'no-such-partition' : topic.isCompacted ? 'compacted' : 'not-behind-a-record',
    }
  }

  /** Where the row belongs; undefined when that cannot be told. */
  placeOf(row: Placed): Place | 'left out' | 'adopted' | undefined {
    if (row.txid === adoptedTxid) return 'adopted'
    const numbering = this.#numberingOf(row)
    if (numbering === undefined) return undefined
    return placeOf(this.#placeable(row), numbering, this.#parts.order.generations[numbering])
  }

  /** Whether it was published for certain, or an adoption has decided about it. */
  wasPublished(row: Placed): boolean {
    const { order, publishedTo, positions } = this.#parts
    const numbering = this.#numberingOf(row)
    if (numbering === undefined) return false
    const placeable = this.#placeable(row)
    const newest = order.generations[numbering].at(-1)
    if (newest === undefined) return false
    const shard = shardOf(placeable, newest.map)
    const begin = newest.begins.get(shard)
    // A generation begins where everything before it is published. What the first one leaves out never was.
    if (begin !== undefined && isVisible(row.txid, begin)) return newest.generation > 1
    const name = placeName({ numbering, generation: newest.generation, shard })
    const to = publishedTo.get(name)
    if (to !== undefined && isVisible(row.txid, to)) return true
    const position = positions.get(name)
    return position !== undefined && isCovered(row, position)
  }

  #isAbsentIn(partition: number, row: Suspect, place: Place | undefined): boolean {
    const { isOwnCluster, order, anchors } = this.#parts
    const topic = this.#topic(row)
    // Nothing was ever removed there. What the first start left out is not there either, and must not be.
    if (isOwnCluster && topic.partitions[partition]?.start === 0n)
      return place !== undefined || order.nothingLeftOut
    if (place === undefined) return false
    const placeable = this.#placeable(row)
    const found = anchors.get(partitionName(row.topic, partition)) ?? []
    return found.some((anchor) => isSurelyBefore(anchor, placeable, place))
  }

  #placeable(row: Placed): Placeable {
    const { txid, seq, bucket } = row
    return { txid, seq, bucket, topicName: this.#topic(row).name }
  }

  #topic({ topic }: Placed): ComparedTopic {
    const found = this.#parts.topics[topic]
    invariant(found !== undefined, `topic ${topic} was described`)
    return found
  }

  /** Whose transaction id the row has; undefined when it may be either's. */
  #numberingOf({ txid, writtenBy }: Placed): Numbering | undefined {
    if (txid === writtenBy) return 'native'
    // A transaction writes under its own id, or under a later one of a savepoint.
    if (txid > writtenBy || this.#parts.copiers.has(writtenBy)) return 'copied'
    return this.#parts.order.generations.copied.length === 0 ? 'native' : undefined
  }
}

export const placeName = ({ numbering, generation, shard }: Place): string =>
  `${numbering}:${generation}:${shard}`

export const partitionName = (topic: number, partition: number): string => `${topic}:${partition}`

/** Where the event may have been put, if the topic once had fewer partitions. */
function candidatesOf(row: Suspect, partitions: number): readonly number[] {
  if (row.partition !== undefined) return [row.partition]
  return [...new Set(Array.from({ length: partitions }, (_, index) => row.partitionOf(index + 1)))]
}
