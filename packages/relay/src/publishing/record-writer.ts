import { channels, envelopeHeaders, OutboxError } from '@oncebox/core'
import {
  encodeHeader,
  PartitionRecords,
  partitionForKey,
  type Compression,
  type TopicDescription,
} from '@oncebox/kafka'
import type { CopyRows } from '../reading/copy-rows.js'
import { column } from '../reading/read-window.js'
import type { EventHeaders } from './cloud-event-headers.js'
import type { Route } from './routes.js'

const jsonContentType = encodeHeader(envelopeHeaders.contentType, 'application/json')
// As many links as a span takes by default.
const traceparentsMax = 128

/** Writes rows into the record batches of their partitions. */
export class RecordWriter {
  readonly #rows: CopyRows
  readonly #headers: EventHeaders
  readonly #compression: Compression
  // By name: a topic that is described again in the middle of a page must not get two lists of one partition.
  readonly #partitions = new Map<string, PartitionRecords[]>()
  readonly #traceparents: string[] | undefined = channels.relayPublished.hasSubscribers ? [] : undefined

  constructor(rows: CopyRows, headers: EventHeaders, compression: Compression) {
    this.#rows = rows
    this.#headers = headers
    this.#compression = compression
  }

  get partitions(): readonly PartitionRecords[] {
    return [...this.#partitions.values()].flatMap((list) => list.filter((records) => records !== undefined))
  }

  get topics(): readonly string[] {
    return [...this.#partitions.keys()]
  }

  get traceparents(): readonly string[] {
    return this.#traceparents ?? []
  }

  /** The partition of the row under the cursor. One that it asks for need not be there. */
  partitionIn(topic: TopicDescription): number {
    const { bytes, starts, ends } = this.#rows
    const explicit = starts[column.partition] ?? -1
    if (explicit >= 0) return bytes.readInt32BE(explicit)
    const key = starts[column.key] ?? -1
    if (key >= 0) return partitionForKey(bytes.subarray(key, ends[column.key]), topic.partitions)
    // No key, no order: spread by the random end of the id, so that a repeated attempt chooses the same partition.
    return bytes.readUInt32BE((starts[column.id] ?? 0) + 12) % topic.partitions
  }

  /** @returns Why the row under the cursor is too large for the topic */
  write(
    topic: TopicDescription,
    partition: number,
    route: Pick<Route, 'headers' | 'headerCount'>,
    timestampMs: number,
  ): OutboxError | undefined {
    const { bytes, starts, ends } = this.#rows
    const pieces: Buffer[] = [route.headers, this.#headers.write(bytes, starts[column.id] ?? 0, timestampMs)]
    let headerCount = route.headerCount + 2
    const headersStart = starts[column.headers] ?? -1
    if (headersStart < 0) {
      pieces.push(jsonContentType)
      headerCount++
    } else {
      headerCount += this.#addServiceHeaders(
        bytes.toString('utf8', headersStart, ends[column.headers]),
        pieces,
      )
    }
    try {
      this.#records(topic, partition).append(
        timestampMs,
        bytes,
        starts[column.key] ?? -1,
        ends[column.key] ?? -1,
        starts[column.payload] ?? -1,
        ends[column.payload] ?? -1,
        headerCount,
        pieces,
      )
      return undefined
    } catch (error) {
      if (OutboxError.is(error, 'KAFKA_RECORD_TOO_LARGE')) return error
      throw error
    }
  }

  #records(topic: TopicDescription, partition: number): PartitionRecords {
    let list = this.#partitions.get(topic.name)
    if (list === undefined) this.#partitions.set(topic.name, (list = []))
    return (list[partition] ??= new PartitionRecords(topic.name, partition, {
      maxMessageBytes: topic.maxMessageBytes,
      compression: this.#compression,
    }))
  }

  /** Headers the service set; the content type is JSON unless they say otherwise. @returns How many pieces were added. */
  #addServiceHeaders(text: string, pieces: Buffer[]): number {
    const headers: unknown = JSON.parse(text)
    const entries = typeof headers === 'object' && headers !== null ? Object.entries(headers) : []
    for (const [name, value] of entries) {
      pieces.push(encodeHeader(name, String(value)))
      if (name === envelopeHeaders.traceparent) this.#noteTraceparent(String(value))
    }
    if (entries.some(([name]) => name === envelopeHeaders.contentType)) return entries.length
    pieces.push(jsonContentType)
    return entries.length + 1
  }

  #noteTraceparent(traceparent: string): void {
    if (this.#traceparents !== undefined && this.#traceparents.length < traceparentsMax)
      this.#traceparents.push(traceparent)
  }
}
