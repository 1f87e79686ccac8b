import { OutboxError } from '@oncebox/core'
import type { Compression } from '@oncebox/kafka'
import { ParkedKeys } from '../dead-letters/parked-keys.js'
import type { CopyRows } from '../reading/copy-rows.js'
import { column, rowOverheadBytes } from '../reading/read-window.js'
import type { EventHeaders } from './cloud-event-headers.js'
import type { EncodedBatch } from './encoded-batch.js'
import { refusalOf, type Exceptions, type Halt, type SetAside } from './exceptions.js'
import { RecordWriter } from './record-writer.js'
import type { Route, Routes } from './routes.js'
import { RowWalk, type InTransactions } from './row-walk.js'

const postgresEpochMs = 946_684_800_000
// Years 0000 to 9999: what a CloudEvents time (RFC 3339) can name. PostgreSQL knows more, and infinity.
const timeMinMs = Date.parse('0000-01-01T00:00:00Z')
const timeMaxMs = Date.parse('9999-12-31T23:59:59.999Z')
const keyInDetailsMax = 200

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
  readonly #walk: RowWalk
  readonly #writer: RecordWriter
  readonly #setAside: SetAside[] = []
  /** Keys that this page parks. */
  readonly #parkedHere = new ParkedKeys()
  #boundedBytes = 0
  #oldestMs = Number.POSITIVE_INFINITY
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
    this.#walk = new RowWalk(after, parts.transactions)
    this.#writer = new RecordWriter(rows, parts.headers, parts.compression)
    this.#exceptions = exceptions
    this.#asked = asked
    this.#parts = parts
  }

  /**
   * Rows up to the end of a transaction, when transactions are to stay whole and the page stops inside of one. Events of it
   * are in the batch, which cannot be used then.
   */
  get stopsBehind(): number | undefined {
    return this.#walk.stopsBehind
  }

  get batch(): EncodedBatch {
    const { events, rows, lastSeq, lastOfTransaction, transactions, lastEventSeq } = this.#walk
    const { partitions, topics, traceparents } = this.#writer
    return {
      partitions,
      events,
      rows,
      lastSeq,
      lastOfTransaction,
      transactions,
      lastEventSeq,
      boundedBytes: this.#boundedBytes,
      oldestMs: this.#oldestMs,
      topics,
      traceparents,
      setAside: this.#setAside,
      halt: this.#halt,
      whole: this.#whole,
    }
  }

  /** @returns False when a topic has changed meanwhile, and the page has to be encoded anew. */
  async run(): Promise<boolean> {
    const { passedOver, doubtful } = this.#exceptions
    const rows = this.#rows
    while (this.#walk.rows < this.#parts.rowsMax && rows.next()) {
      const seq = rows.bytes.readBigInt64BE(rows.starts[column.seq])
      this.#walk.arrive(seq, rows)
      if (this.#walk.isCutHere) {
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
      if (doubtful.size > 0 && this.#walk.canEndBefore && doubtful.has(route.topicName)) {
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
    const partition = this.#writer.partitionIn(topic)
    // Asked of Kafka it would be a topic that is not ready, tried again for ever; it is an event that names what is not there.
    if (partition >= topic.partitions)
      return verdict(`it asks for partition ${partition}, and the topic has ${topic.partitions}`, true)
    const tooLarge = this.#writer.write(topic, partition, { headers, headerCount }, timestampMs)
    if (tooLarge !== undefined) return { error: tooLarge, dependsOnTopic: true }
    if (timestampMs < this.#oldestMs) this.#oldestMs = timestampMs
    this.#walk.passEvent(seq)
    this.#countBytes()
    return undefined
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
    this.#walk.pass(seq)
    this.#countBytes()
  }

  #countBytes(): void {
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

const idOf = ({ bytes, starts, ends }: CopyRows): string =>
  bytes
    .toString('hex', starts[column.id], ends[column.id])
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
