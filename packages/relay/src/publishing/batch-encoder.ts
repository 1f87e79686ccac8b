import { channels, envelopeHeaders, OutboxError } from '@oncebox/core'
import {
  encodeHeader,
  PartitionRecords,
  partitionForKey,
  type Compression,
  type KafkaClient,
  type TopicDescription,
} from '@oncebox/kafka'
import { column, rowOverheadBytes } from '../reading/read-window.js'
import type { CopyRows } from '../reading/copy-rows.js'
import { EventHeaders } from './cloud-event-headers.js'

/** A page of rows as the record batches of one Kafka transaction. */
export interface EncodedBatch {
  readonly partitions: readonly PartitionRecords[]
  readonly events: number
  readonly lastSeq: bigint
  /** Payloads, and the fixed cost that readWindow counts for each row: at bytesMax or above, the page was cut by bytes. */
  readonly boundedBytes: number
  /** When the oldest event of the batch was emitted, milliseconds since 1970. */
  readonly oldestMs: number
  readonly topics: readonly string[]
  /** Header traceparent of its events, {@link traceparentsMax} at most; none unless somebody listens to what is published. */
  readonly traceparents: readonly string[]
}

/** What is the same in all events of one topic, type and source. */
interface Route {
  readonly topic: TopicDescription
  readonly type: string
  readonly headers: Buffer
}

const postgresEpochMs = 946_684_800_000
// Years 0000 to 9999: what a CloudEvents time (RFC 3339) can name. PostgreSQL knows more, and infinity.
const timeMinMs = Date.parse('0000-01-01T00:00:00Z')
const timeMaxMs = Date.parse('9999-12-31T23:59:59.999Z')
// spec version, type, source
const routeHeaderCount = 3
const jsonContentType = encodeHeader(envelopeHeaders.contentType, 'application/json')
const routesMax = 10_000
// As many links as a span takes by default.
const traceparentsMax = 128

/**
 * Turns rows into record batches: key and payload are copied from PostgreSQL's bytes into Kafka's, nothing that only
 * passes through is decoded. Topic, type and source are looked up by their raw bytes.
 */
export class BatchEncoder {
  readonly #kafka: KafkaClient
  readonly #compression: Compression
  readonly #routes = new Map<string, Route>()
  readonly #headers = new EventHeaders()
  #traceparents: string[] | undefined

  constructor(kafka: KafkaClient, compression: Compression) {
    this.#kafka = kafka
    this.#compression = compression
  }

  /**
   * What is known of a topic may be old: before an event is refused for good, its topic is asked again whether it has
   * more partitions or a higher limit by now.
   *
   * @param after Sequence number of the last event before this page; a row at or below it is refused (W6).
   * @throws OutboxError RELAY_EVENT_UNPUBLISHABLE, RELAY_ORDER_BROKEN, KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED
   */
  async encode(rows: CopyRows, after: bigint, signal: AbortSignal): Promise<EncodedBatch> {
    try {
      return await this.#encode(rows, after, signal)
    } catch (error) {
      if (!OutboxError.is(error, 'RELAY_EVENT_UNPUBLISHABLE')) throw error
      this.#routes.clear()
      rows.rewind()
      return await this.#encode(rows, after, signal)
    }
  }

  async #encode(rows: CopyRows, after: bigint, signal: AbortSignal): Promise<EncodedBatch> {
    // By name: a topic that is described again in the middle of a page must not get two lists of one partition.
    const partitions = new Map<string, PartitionRecords[]>()
    const { bytes, starts, ends } = rows
    this.#traceparents = channels.relayPublished.hasSubscribers ? [] : undefined
    let lastSeq = after
    let events = 0
    let boundedBytes = 0
    let oldestMs = Number.POSITIVE_INFINITY
    while (rows.next()) {
      const seq = bytes.readBigInt64BE(starts[column.seq])
      if (seq <= lastSeq)
        throw new OutboxError('RELAY_ORDER_BROKEN', `event ${seq} came after event ${lastSeq}`)
      const routeKey = bytes.toString('latin1', starts[column.topic], ends[column.source])
      const route = this.#routes.get(routeKey) ?? (await this.#addRoute(routeKey, rows, signal))
      const timestampMs =
        postgresEpochMs + Math.floor(Number(bytes.readBigInt64BE(starts[column.occurred_at])) / 1000)
      if (timestampMs < timeMinMs || timestampMs > timeMaxMs)
        throw unpublishable(rows, route, seq, noSuchTime())
      const partition = partitionOf(rows, route.topic)
      if (partition >= route.topic.partitions)
        throw unpublishable(rows, route, seq, noSuchPartition(partition, route.topic))
      this.#append(this.#records(partitions, route.topic, partition), rows, route, timestampMs, seq)
      if (timestampMs < oldestMs) oldestMs = timestampMs
      lastSeq = seq
      events++
      boundedBytes += rowOverheadBytes + bytesOf(rows, column.payload)
    }
    return {
      partitions: [...partitions.values()].flatMap((list) => list.filter((records) => records !== undefined)),
      events,
      lastSeq,
      boundedBytes,
      oldestMs,
      topics: [...partitions.keys()],
      traceparents: this.#traceparents ?? [],
    }
  }

  #records(
    partitions: Map<string, PartitionRecords[]>,
    topic: TopicDescription,
    partition: number,
  ): PartitionRecords {
    let list = partitions.get(topic.name)
    if (list === undefined) partitions.set(topic.name, (list = []))
    return (list[partition] ??= new PartitionRecords(topic.name, partition, {
      maxMessageBytes: topic.maxMessageBytes,
      compression: this.#compression,
    }))
  }

  #append(records: PartitionRecords, rows: CopyRows, route: Route, timestampMs: number, seq: bigint): void {
    const { bytes, starts, ends } = rows
    const pieces: Buffer[] = [route.headers, this.#headers.write(bytes, starts[column.id] ?? 0, timestampMs)]
    let headerCount = routeHeaderCount + 2
    const headersStart = starts[column.headers] ?? -1
    if (headersStart < 0) {
      pieces.push(jsonContentType)
      headerCount++
    } else {
      headerCount += this.#appendServiceHeaders(
        bytes.toString('utf8', headersStart, ends[column.headers]),
        pieces,
      )
    }
    try {
      records.append(
        timestampMs,
        bytes,
        starts[column.key] ?? -1,
        ends[column.key] ?? -1,
        starts[column.payload] ?? -1,
        ends[column.payload] ?? -1,
        headerCount,
        pieces,
      )
    } catch (error) {
      throw unpublishable(rows, route, seq, error)
    }
  }

  /** Headers the service set; the content type is JSON unless they say otherwise. @returns How many pieces were added. */
  #appendServiceHeaders(text: string, pieces: Buffer[]): number {
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

  async #addRoute(routeKey: string, { bytes, starts, ends }: CopyRows, signal: AbortSignal): Promise<Route> {
    const field = (index: number): string => bytes.toString('utf8', starts[index], ends[index])
    const name = field(column.topic)
    const topic = await this.#describe(name, signal)
    const type = field(column.type)
    const headers = Buffer.concat([
      encodeHeader(envelopeHeaders.specVersion, '1.0'),
      encodeHeader(envelopeHeaders.type, type),
      encodeHeader(envelopeHeaders.source, field(column.source)),
    ])
    const route = { topic, type, headers }
    if (this.#routes.size >= routesMax) this.#routes.clear()
    this.#routes.set(routeKey, route)
    return route
  }

  async #describe(name: string, signal: AbortSignal): Promise<TopicDescription> {
    for (const route of this.#routes.values()) if (route.topic.name === name) return route.topic
    return await this.#kafka.describeTopic(name, { refresh: true, signal })
  }
}

/** Length of a field; 0 for null. */
function bytesOf({ starts, ends }: CopyRows, index: number): number {
  const start = starts[index] ?? -1
  return start < 0 ? 0 : (ends[index] ?? 0) - start
}

function partitionOf({ bytes, starts, ends }: CopyRows, topic: TopicDescription): number {
  const explicit = starts[column.partition] ?? -1
  if (explicit >= 0) return bytes.readInt32BE(explicit)
  const key = starts[column.key] ?? -1
  if (key >= 0) return partitionForKey(bytes.subarray(key, ends[column.key]), topic.partitions)
  // No key, no order: spread by the random end of the id, so that a repeated attempt chooses the same partition.
  return bytes.readUInt32BE((starts[column.id] ?? 0) + 12) % topic.partitions
}

// Asked of Kafka it would be a topic that is not ready, tried again for ever; it is an event that names what is not there.
const noSuchPartition = (partition: number, { partitions }: TopicDescription): Error =>
  new Error(`it asks for partition ${partition}, and the topic has ${partitions}`)

const noSuchTime = (): Error => new Error('its occurred_at is not in the years 0000 to 9999')

function unpublishable(
  { bytes, starts, ends }: CopyRows,
  route: Route,
  seq: bigint,
  cause: unknown,
): OutboxError {
  const id = bytes
    .toString('hex', starts[column.id], ends[column.id])
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  return new OutboxError(
    'RELAY_EVENT_UNPUBLISHABLE',
    `event ${id} (${route.type}) cannot be published to ${route.topic.name}`,
    {
      cause,
      details: { id, seq: String(seq), topic: route.topic.name, type: route.type },
    },
  )
}
