/** One event on its way into `outbox.events`: checked, encoded, with its id, bucket and trace context. */
import {
  bucketOf,
  envelopeHeaders,
  isReservedHeader,
  json,
  OutboxError,
  type AnyTopic,
  type StandardSchemaV1,
} from '@oncebox/core'
import { v7 as uuid7 } from 'uuid'
import type { EmitOptions } from './event-types.js'

/** The columns that a writer gives; the database adds seq, txid and slot. */
export interface EventRow {
  readonly id: string
  readonly bucket: number
  readonly topic: string
  readonly type: string
  readonly key: string | null
  readonly partition: number | null
  /** JSON text. */
  readonly headers: string | null
  readonly payload: Uint8Array | null
  /** ISO 8601; null: the database's clock. */
  readonly occurredAt: string | null
}

export const keyBytesMax = 32_767
const headersMax = 64
const headerBytesMax = 65_536
const partitionMax = 2_147_483_647
const issuesMax = 20
const issueCharactersMax = 200

/** An event as it is encoded for its topic: what a consumer that sends to Kafka by itself makes a record of. */
export type EncodedEvent = Omit<EventRow, 'bucket'>

/** An event whose schema may still be validating. */
export type PendingRow = EventRow | Promise<EventRow>

/** The rows as they are, at once, unless one of them waits for its schema. */
export function completeRows(
  rows: readonly PendingRow[],
): readonly EventRow[] | Promise<readonly EventRow[]> {
  return rows.every(isComplete) ? rows : Promise.all(rows.map(async (row) => row))
}

const isComplete = (row: PendingRow): row is EventRow => !(row instanceof Promise)

/**
 * Checks and encodes one event. The payload travels as it is given, encoded by the topic's codec; it is validated in
 * the form in which a consumer will read it back, decoded from those bytes, so that whatever was emitted can be read.
 * The topic's key function gets the validated output. A promise only where the schema validates asynchronously.
 * @param headersFor Headers that somebody adds to an event that is accepted; the service's own win.
 * @throws OutboxError OUTBOX_PAYLOAD_INVALID, OUTBOX_PAYLOAD_TOO_LARGE, OUTBOX_OPTIONS_INVALID
 */
export function eventRow(
  topic: AnyTopic,
  type: string,
  payload: unknown,
  options: EmitOptions,
  id: string = uuid7(),
  headersFor: (headers: Headers) => Headers = (headers) => headers,
): PendingRow {
  const given = {
    id,
    topic: topic.name,
    type,
    partition: partitionOf(options.partition),
    occurredAt: occurredAtOf(options.occurredAt),
  }
  const headers = headersOf(options.headers, payload === null ? null : topic.codec.contentType)
  const complete = (bytes: Uint8Array | null, key: unknown): EventRow => {
    checkKey(key, type)
    return { ...given, bucket: bucketOf(key), headers: textOf(headersFor(headers)), key, payload: bytes }
  }
  if (payload === null) {
    if (typeof options.key !== 'string')
      throw invalidOption(`${type}: a payload of null is a tombstone and needs options.key`)
    return complete(null, options.key)
  }
  const bytes = encode(topic, type, payload)
  const finish = (result: StandardSchemaV1.Result<unknown>): EventRow => {
    if (result.issues !== undefined) throw invalidPayload(type, result.issues)
    // The one cast here: the schema of `type` has validated the value, and the topic's key function takes just that.
    const key = options.key === undefined ? topic.key(result.value as never) : options.key
    return complete(bytes, key)
  }
  const schema = topic.events[type]
  if (schema === undefined)
    throw new OutboxError('OUTBOX_EVENT_UNKNOWN', `${topic.name} has no event ${type}`)
  const result = schema['~standard'].validate(decode(topic, type, bytes))
  return result instanceof Promise ? result.then(finish) : finish(result)
}

function encode(topic: AnyTopic, type: string, payload: unknown): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = topic.codec.encode(payload)
  } catch (cause) {
    throw new OutboxError(
      'OUTBOX_PAYLOAD_INVALID',
      `${type}: the codec of ${topic.name} cannot encode the payload`,
      {
        cause,
        details: { topic: topic.name, type, issues: [] },
      },
    )
  }
  if (bytes.byteLength > topic.payloadBytesMax) {
    throw new OutboxError(
      'OUTBOX_PAYLOAD_TOO_LARGE',
      `${type}: the payload has ${bytes.byteLength} bytes, ${topic.name} takes ${topic.payloadBytesMax}`,
      {
        details: { topic: topic.name, type, bytes: bytes.byteLength, payloadBytesMax: topic.payloadBytesMax },
      },
    )
  }
  // A codec may hand out the caller's own bytes, which the caller may change before they are written.
  return bytes === payload ? bytes.slice() : bytes
}

function decode(topic: AnyTopic, type: string, bytes: Uint8Array): unknown {
  try {
    return topic.codec.decode(bytes)
  } catch (cause) {
    throw new OutboxError(
      'OUTBOX_PAYLOAD_INVALID',
      `${type}: the codec of ${topic.name} cannot read back what it wrote`,
      {
        cause,
        details: { topic: topic.name, type, issues: [] },
      },
    )
  }
}

function invalidPayload(type: string, issues: readonly StandardSchemaV1.Issue[]): OutboxError {
  const shown = issues.slice(0, issuesMax).map((issue) => ({
    message: issue.message.slice(0, issueCharactersMax),
    path: (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.'),
  }))
  const first = shown[0]
  const where = first === undefined ? '' : `: ${first.path === '' ? '' : `${first.path}: `}${first.message}`
  return new OutboxError('OUTBOX_PAYLOAD_INVALID', `${type}: the schema refuses the payload${where}`, {
    details: { type, issues: shown },
  })
}

function checkKey(key: unknown, type: string): asserts key is string | null {
  if (key === null) return
  if (typeof key !== 'string')
    throw invalidOption(`${type}: the key is ${typeof key}, it must be a string or null`)
  if (!isStorable(key)) throw invalidOption(`${type}: the key holds U+0000 or half of a surrogate pair`)
  if (Buffer.byteLength(key) > keyBytesMax)
    throw invalidOption(`${type}: the key has more than ${keyBytesMax} bytes`)
}

function partitionOf(partition: number | undefined): number | null {
  if (partition === undefined) return null
  if (Number.isInteger(partition) && partition >= 0 && partition <= partitionMax) return partition
  throw invalidOption(`partition is ${partition}: a whole number from 0 to ${partitionMax}`)
}

function occurredAtOf(at: Date | undefined): string | null {
  if (at === undefined) return null
  const year = at.getUTCFullYear()
  if (year >= 1 && year <= 9999) return at.toISOString()
  throw invalidOption('occurredAt must be a date of the years 1 to 9999')
}

type Headers = Readonly<Record<string, string>>

/** @param contentType Of the payload. JSON goes without saying: the relay adds it to an event that names no other. */
function headersOf(headers: Headers | undefined, contentType: string | null): Headers {
  const named =
    contentType === null || contentType === json.contentType
      ? {}
      : { [envelopeHeaders.contentType]: contentType }
  if (headers === undefined) return named
  const entries: [string, unknown][] = Object.entries(headers)
  if (entries.length > headersMax) throw invalidOption(`${entries.length} headers: at most ${headersMax}`)
  let bytes = 0
  for (const [name, value] of entries) {
    if (isReservedHeader(name)) throw invalidOption(`header ${JSON.stringify(name)} belongs to the envelope`)
    if (name === '' || typeof value !== 'string' || !isStorable(name) || !isStorable(value)) {
      throw invalidOption(
        `header ${JSON.stringify(name)}: a name and a string, without U+0000 or half of a surrogate pair`,
      )
    }
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  if (bytes > headerBytesMax)
    throw invalidOption(`the headers have ${bytes} bytes: at most ${headerBytesMax}`)
  return { ...headers, ...named }
}

const textOf = (headers: Headers): string | null =>
  Object.keys(headers).length === 0 ? null : JSON.stringify(headers)

// PostgreSQL stores no U+0000, and half of a surrogate pair would be stored as another character.
const unstorable = /\0|\p{Surrogate}/u
const isStorable = (text: string): boolean => !unstorable.test(text)

const invalidOption = (message: string): OutboxError => new OutboxError('OUTBOX_OPTIONS_INVALID', message)
