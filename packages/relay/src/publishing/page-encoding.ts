import { channels, envelopeHeaders, OutboxError } from '@oncebox/core'
import {
  encodeHeader,
  PartitionRecords,
  partitionForKey,
  type Compression,
  type TopicDescription,
} from '@oncebox/kafka'
import { ParkedKeys } from '../dead-letters/parked-keys.js'
import { lastOfTransactionColumn } from '../reading/read-transactions.js'
import { column, rowOverheadBytes } from '../reading/read-window.js'
import type { CopyRows } from '../reading/copy-rows.js'
import type { EventHeaders } from './cloud-event-headers.js'
import type { EncodedBatch } from './encoded-batch.js'
import { refusalOf, type Exceptions, type Halt, type SetAside } from './exceptions.js'
import type { Route, Routes } from './routes.js'

const postgresEpochMs = 946_684_800_000
// Years 0000 to 9999: what a CloudEvents time (RFC 3339) can name. PostgreSQL knows more, and infinity.
const timeMinMs = Date.parse('0000-01-01T00:00:00Z')
const timeMaxMs = Date.parse('9999-12-31T23:59:59.999Z')
const jsonContentType = encodeHeader(envelopeHeaders.contentType, 'application/json')
const keyInDetailsMax = 200
// As many links as a span takes by default.
const traceparentsMax = 128

/** That rows come transaction by transaction, and where they go on. */
export interface InTransactions {
  /** Of the transaction that the last event before the page is of; 0 for none. */
  readonly lastOfTransaction: bigint
  /** Whether a batch may end only where a transaction does. */
  readonly whole: boolean
  /** One that goes out in parts all the same, so many rows at a time: the broker refuses something in it. */
  readonly cut?: { readonly last: bigint; readonly rowsMax: number } | undefined
}

interface EncodingParts {
  readonly transactions: InTransactions | undefined
  /** Rows that are taken, at most. */
  readonly rowsMax: number
  readonly routes: Routes
  readonly headers: EventHeaders
  readonly compression: Compression
  readonly signal: AbortSignal
}

/** One page on its way into a batch. */
export class PageEncoding {
  readonly #rows: CopyRows
  readonly #exceptions: Exceptions
  /** Topics that were asked again for the sake of this page. */
  readonly #asked: Set<string>
  readonly #parts: EncodingParts
  // By name: a topic that is described again in the middle of a page must not get two lists of one partition.
  readonly #partitions = new Map<string, PartitionRecords[]>()
  readonly #setAside: SetAside[] = []
  /** Keys that this page parks. */
  readonly #parkedHere = new ParkedKeys()
  #lastSeq: bigint
  /** Of the transaction that `lastSeq` is of. */
  #lastOfTransaction: bigint | undefined
  /** Of the transaction that the row under the cursor is of. */
  #arrived: bigint | undefined
  #transactions = 0
  /** Rows, and events, before that transaction. */
  #rowsBefore = 0
  #eventsBefore = 0
  /** Rows after which the page ends, in the middle of the one transaction that it has. */
  #cutAt: number | undefined
  #lastEventSeq = 0n
  #rowCount = 0
  #events = 0
  #boundedBytes = 0
  #oldestMs = Number.POSITIVE_INFINITY
  readonly #traceparents: string[] | undefined = channels.relayPublished.hasSubscribers ? [] : undefined
  #halt: Halt | undefined
  #whole = true

  constructor(
    rows: CopyRows,
    after: bigint,
    exceptions: Exceptions,
    asked: Set<string>,
    parts: EncodingParts,
  ) {
    this.#rows = rows
    this.#lastSeq = after
    this.#exceptions = exceptions
    this.#asked = asked
    this.#parts = parts
    this.#lastOfTransaction = parts.transactions?.lastOfTransaction
  }

  /**
   * Rows up to the end of a transaction, when transactions are to stay whole and the page stops inside of one. Events of it
   * are in the batch, which cannot be used then.
   */
  get stopsBehind(): number | undefined {
    const isInside = this.#rowCount > 0 && this.#lastSeq !== this.#lastOfTransaction
    return isInside && this.#staysWhole ? this.#rowsBefore : undefined
  }

  get batch(): EncodedBatch {
    return {
      partitions: [...this.#partitions.values()].flatMap((list) =>
        list.filter((records) => records !== undefined),
      ),
      events: this.#events,
      rows: this.#rowCount,
      lastSeq: this.#lastSeq,
      lastOfTransaction: this.#lastOfTransaction,
      transactions: this.#transactions,
      lastEventSeq: this.#lastEventSeq,
      boundedBytes: this.#boundedBytes,
      oldestMs: this.#oldestMs,
      topics: [...this.#partitions.keys()],
      traceparents: this.#traceparents ?? [],
      setAside: this.#setAside,
      halt: this.#halt,
      whole: this.#whole,
    }
  }

  /** @returns False when a topic has changed meanwhile, and the page has to be encoded anew. */
  async run(): Promise<boolean> {
    const { passedOver, doubtful } = this.#exceptions
    const rows = this.#rows
    while (this.#rowCount < this.#parts.rowsMax && rows.next()) {
      const seq = rows.bytes.readBigInt64BE(rows.starts[column.seq])
      this.#arrive(seq)
      if (this.#isCutHere) {
        this.#whole = false
        break
      }
      if (passedOver.size > 0 && passedOver.has(seq)) {
        this.#passRow(seq)
        continue
      }
      const route = this.#parts.routes.known(rows) ?? (await this.#lookUp(seq))
      if (route === undefined) break
      if (this.#isParked(route)) {
        this.#add(seq, route, undefined)
        continue
      }
      if (doubtful.size > 0 && this.#canEndBefore && doubtful.has(route.topicName)) {
        this.#whole = false
        break
      }
      const refusal = this.#append(seq, route)
      if (refusal === undefined) continue
      const isOld = await this.#askAgain(seq, route, refusal)
      if (isOld) return false
      if (this.#halt !== undefined || !this.#refuse(seq, route, refusal)) break
    }
    this.#whole &&= this.#halt === undefined
    return true
  }

  /** Refuses a row that does not come behind the last one. */
  #arrive(seq: bigint): void {
    const before = this.#lastOfTransaction
    if (before === undefined) {
      if (seq <= this.#lastSeq)
        throw new OutboxError('RELAY_ORDER_BROKEN', `event ${seq} came after event ${this.#lastSeq}`)
      return
    }
    const { bytes, starts } = this.#rows
    const last = bytes.readBigInt64BE(starts[lastOfTransactionColumn])
    if (last < before || (last === before && seq <= this.#lastSeq))
      throw new OutboxError(
        'RELAY_ORDER_BROKEN',
        `event ${seq} of the transaction that ends with ${last} came after event ${this.#lastSeq} of the one that ends with ${before}`,
      )
    if (last === this.#arrived) return
    const cut = this.#parts.transactions?.cut
    if (this.#transactions === 0 && cut?.last === last) this.#cutAt = cut.rowsMax
    this.#arrived = last
    this.#transactions++
    this.#rowsBefore = this.#rowCount
    this.#eventsBefore = this.#events
  }

  get #staysWhole(): boolean {
    return this.#parts.transactions?.whole === true && this.#cutAt === undefined
  }

  get #isCutHere(): boolean {
    return this.#cutAt !== undefined && (this.#transactions > 1 || this.#rowCount >= this.#cutAt)
  }

  /** Whether the batch may end before the row, and has events then. */
  get #canEndBefore(): boolean {
    return (this.#staysWhole ? this.#eventsBefore : this.#events) > 0
  }

  async #lookUp(seq: bigint): Promise<Route | undefined> {
    try {
      const { topicPatienceMs: patienceMs } = this.#exceptions
      const { routes, signal } = this.#parts
      return await routes.lookUp(this.#rows, { signal, ...(patienceMs !== undefined && { patienceMs }) })
    } catch (error) {
      this.#halt = { error, seq }
      return undefined
    }
  }

  /** @returns Whether the topic is not any more what the refusal was judged by. */
  async #askAgain(seq: bigint, { topic }: Route, { dependsOnTopic }: Verdict): Promise<boolean> {
    if (topic === undefined || !dependsOnTopic || this.#asked.has(topic.name)) return false
    this.#asked.add(topic.name)
    try {
      return await this.#parts.routes.refresh(topic, this.#parts.signal)
    } catch (error) {
      this.#halt = { error, seq }
      return false
    }
  }

  /** Appends the row to its partition, or says why it cannot be. */
  #append(seq: bigint, { topic, headers, headerCount }: Route): Verdict | undefined {
    const rows = this.#rows
    if (topic === undefined) return verdict('no event may be written to a topic of that name')
    const refused = this.#exceptions.refused.get(seq)
    if (refused !== undefined) return { error: refused, dependsOnTopic: false }
    const timestampMs =
      postgresEpochMs + Math.floor(Number(rows.bytes.readBigInt64BE(rows.starts[column.occurred_at])) / 1000)
    if (timestampMs < timeMinMs || timestampMs > timeMaxMs)
      return verdict('its occurred_at is not in the years 0000 to 9999')
    const partition = partitionOf(rows, topic)
    // Asked of Kafka it would be a topic that is not ready, tried again for ever; it is an event that names what is not there.
    if (partition >= topic.partitions)
      return verdict(`it asks for partition ${partition}, and the topic has ${topic.partitions}`, true)
    const tooLarge = this.#appendRecord(
      this.#records(topic, partition),
      { headers, headerCount },
      timestampMs,
    )
    if (tooLarge !== undefined) return { error: tooLarge, dependsOnTopic: true }
    if (timestampMs < this.#oldestMs) this.#oldestMs = timestampMs
    this.#events++
    this.#lastEventSeq = seq
    this.#passRow(seq)
    return undefined
  }

  #appendRecord(
    records: PartitionRecords,
    route: Pick<Route, 'headers' | 'headerCount'>,
    timestampMs: number,
  ): OutboxError | undefined {
    const { bytes, starts, ends } = this.#rows
    const pieces: Buffer[] = [
      route.headers,
      this.#parts.headers.write(bytes, starts[column.id] ?? 0, timestampMs),
    ]
    let headerCount = route.headerCount + 2
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
      compression: this.#parts.compression,
    }))
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

  /** Does with an event that cannot be published what its topic wants. @returns Whether the page goes on. */
  #refuse(seq: bigint, route: Route, { error }: Verdict): boolean {
    const { parked, parkedKeysMax } = this.#exceptions
    const choice = this.#exceptions.choiceFor(route.topicName)
    if (choice === 'stop') {
      this.#halt = { error: this.#unpublishable(seq, route, error), seq }
      return false
    }
    const parksKey = choice === 'park-key' && this.#key !== undefined
    if (parksKey && parked.size + this.#parkedHere.size >= parkedKeysMax) {
      this.#halt = { error: parkedKeysFull(parkedKeysMax, route.topicName, seq), seq }
      return false
    }
    this.#add(seq, route, { error, parksKey })
    return true
  }

  #isParked({ topicName }: Route): boolean {
    const { parked } = this.#exceptions
    if (!parked.hasTopic(topicName) && !this.#parkedHere.hasTopic(topicName)) return false
    const key = this.#key
    return key !== undefined && (parked.has(topicName, key) || this.#parkedHere.has(topicName, key))
  }

  #add(
    seq: bigint,
    { topicName }: Route,
    refused: { error: OutboxError; parksKey: boolean } | undefined,
  ): void {
    const key = this.#key
    const parksKey = refused?.parksKey ?? true
    if (parksKey && key !== undefined) this.#parkedHere.add(topicName, key)
    const refusal = refused === undefined ? undefined : refusalOf(refused.error)
    this.#setAside.push({ seq, id: idOf(this.#rows), topic: topicName, key, parksKey, refusal })
    this.#passRow(seq)
  }

  #passRow(seq: bigint): void {
    this.#lastSeq = seq
    if (this.#arrived !== undefined) this.#lastOfTransaction = this.#arrived
    this.#rowCount++
    this.#boundedBytes += rowOverheadBytes + bytesOf(this.#rows, column.payload)
  }

  /** The bytes of the row's key, where they lie; undefined for none. */
  get #key(): Buffer | undefined {
    const { bytes, starts, ends } = this.#rows
    const start = starts[column.key] ?? -1
    return start < 0 ? undefined : bytes.subarray(start, ends[column.key])
  }

  #unpublishable(seq: bigint, route: Route, cause: OutboxError): OutboxError {
    const id = idOf(this.#rows)
    const key = this.#key?.toString('utf8').slice(0, keyInDetailsMax)
    return new OutboxError(
      'RELAY_EVENT_UNPUBLISHABLE',
      `event ${id} (${route.type}) cannot be published to ${route.topicName}: ${cause.message}`,
      {
        cause,
        details: {
          id,
          seq: String(seq),
          topic: route.topicName,
          type: route.type,
          ...(key !== undefined && { key }),
        },
      },
    )
  }
}

/** Why a row is not in the batch. */
interface Verdict {
  readonly error: OutboxError
  /** What is known of the topic decided it. */
  readonly dependsOnTopic: boolean
}

const verdict = (why: string, dependsOnTopic = false): Verdict => ({
  error: new OutboxError('RELAY_EVENT_UNPUBLISHABLE', why),
  dependsOnTopic,
})

const parkedKeysFull = (parkedKeysMax: number, topic: string, seq: bigint): OutboxError =>
  new OutboxError('RELAY_PARKED_KEYS_FULL', `${parkedKeysMax} keys are parked, and one more would be`, {
    details: { parkedKeysMax, topic, seq: String(seq) },
  })

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

const idOf = ({ bytes, starts, ends }: CopyRows): string =>
  bytes
    .toString('hex', starts[column.id], ends[column.id])
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
