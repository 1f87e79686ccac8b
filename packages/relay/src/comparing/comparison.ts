import type { Client } from 'pg'
import type { Position } from '../position.js'
import type { CompareRequest } from './compare-request.js'
import type { ComparedTopic } from './compared-topic.js'
import type { Evidence, Finding } from './evidence.js'
import { entriesOf } from './join.js'
import type { KeyOrder, KeySighting } from './key-order.js'
import { loadOrder } from './load-order.js'
import { matchEvents, type DoubledEvent, type MatchedEvents } from './match-events.js'
import { OpenFiles } from './open-files.js'
import { anchorOf, placeInWindows } from './place-in-windows.js'
import { isSurelyBefore } from './publication-order.js'
import { readBothSides, type BothSides } from './read-both-sides.js'
import { RowEntry } from './row-entry.js'
import { partCount } from './spill.js'
import { weigh } from './weigh.js'

/** An event that is in the outbox and not in its topic. */
export interface MissingEvent {
  readonly row: RowEntry
  readonly finding: Finding
  readonly topic: string
}

/** Two events of a key that are in their topic the wrong way round, for certain. */
export interface ReorderedPair {
  readonly topic: string
  readonly partition: number
  /** Offset and sequence number of the one that should have come second, then of the other. */
  readonly early: { readonly offset: bigint; readonly seq: bigint }
  readonly late: { readonly offset: bigint; readonly seq: bigint }
}

export interface ComparedCounts {
  readonly rows: number
  readonly records: number
  readonly present: number
  readonly doubled: number
}

const pairsMax = 10_000

/**
 * Compares the events of an outbox with those of its topics, by id. In memory is a 256th of the events at a time, and buffers;
 * the rest is in temporary files.
 */
export class Comparison implements AsyncDisposable {
  readonly counts: ComparedCounts
  readonly topics: readonly ComparedTopic[]
  readonly doubled: readonly DoubledEvent[]
  readonly presentByTopic: ReadonlyMap<string, number>
  /** Of the rows' sequence numbers, both inclusive. */
  readonly seqs: { readonly lowest: bigint; readonly highest: bigint }
  readonly #parts: Parts

  private constructor(parts: Parts) {
    this.#parts = parts
    this.topics = parts.topics
    this.doubled = parts.found.doubled
    this.presentByTopic = new Map(
      [...parts.found.presentByTopic].map(([topic, count]) => [parts.scanned.topics.nameOf(topic), count]),
    )
    const { lowestSeq = 0n, highestSeq } = parts.scanned
    this.seqs = { lowest: lowestSeq, highest: highestSeq }
    this.counts = {
      rows: parts.rows,
      records: parts.records,
      present: parts.found.present,
      doubled: parts.found.doubledCount,
    }
  }

  /** @throws OutboxError KAFKA_PARTITION_UNDECIDED, KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED; a driver error */
  static async make(request: CompareRequest): Promise<Comparison> {
    const files = new OpenFiles()
    try {
      const read = await readBothSides(request, files)
      const order = await loadOrder(request.client)
      const found = await matchEvents(read, order, request, files)
      const evidence = await weigh(found, order, read, request)
      return new Comparison({
        ...read,
        found,
        evidence,
        files,
        client: request.client,
        positions: request.positions,
      })
    } catch (error) {
      await files[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Every event that is not in its topic, with what is known about it. */
  async *missing(): AsyncGenerator<MissingEvent> {
    const { found, evidence, topics } = this.#parts
    for (let part = 0; part < partCount; part++) {
      for (const entry of entriesOf(await found.missing.read(part), RowEntry.size)) {
        const row = new RowEntry(entry)
        yield { row, finding: evidence.judge(row), topic: topics[row.topic]?.name ?? '' }
      }
    }
  }

  /** Records of this outbox's whose events are not in it. */
  get strayCount(): number {
    return this.#parts.found.strays
  }

  /** The order of what is there, and the highest sequence number of each key. */
  get keys(): KeyOrder {
    return this.#parts.found.keys
  }

  /**
   * Events of a key that are the wrong way round. Of two whose transactions overlapped nobody can say so.
   * @returns Those that are certain; `unjudged` counts what was left out when there were too many to look at.
   */
  async reordered(): Promise<{ readonly pairs: readonly ReorderedPair[]; readonly unjudged: number }> {
    const { client, evidence, positions, topics } = this.#parts
    const candidates: { readonly early: KeySighting; readonly late: KeySighting }[] = []
    let unjudged = 0
    for await (const inversion of this.keys.inversions())
      if (candidates.length < pairsMax) candidates.push(inversion)
      else unjudged++
    const anchors = candidates.flatMap(({ late }) => anchorOf(late, evidence, topics) ?? [])
    const placed = await placeInWindows(client, anchors, positions)
    const bySeq = new Map(placed.anchors.map((anchor) => [anchor.seq, anchor]))
    const pairs = candidates.flatMap(({ early, late }): ReorderedPair[] => {
      const anchor = bySeq.get(late.seq)
      const other = anchorOf(early, evidence, topics)
      if (anchor === undefined || other === undefined || !isSurelyBefore(anchor, other, other.place))
        return []
      return [{ topic: anchor.topicName, partition: late.partition, early, late }]
    })
    return { pairs, unjudged }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.files[Symbol.asyncDispose]()
  }
}

interface Parts extends BothSides {
  readonly found: MatchedEvents
  readonly evidence: Evidence
  readonly files: OpenFiles
  readonly client: Client
  readonly positions: ReadonlyMap<string, Position>
}
