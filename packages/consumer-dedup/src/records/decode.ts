import { OutboxError, type AnyTopic, type Envelope, type StandardSchemaV1 } from '@oncebox/core'
import type { ConsumerRecord } from './record.js'

/** What a record turned out to be. */
export type Decoded =
  | { readonly kind: 'event'; readonly envelope: Envelope; readonly payload: unknown }
  | { readonly kind: 'skipped'; readonly envelope: Envelope }
  | { readonly kind: 'invalid'; readonly envelope: Envelope; readonly error: OutboxError }

/**
 * Reads the envelope of a record and validates its payload with the schema of its topic. Never throws; a promise only where
 * the schema validates asynchronously.
 */
export function decode(
  topic: AnyTopic,
  record: ConsumerRecord,
  isHandled: (type: string) => boolean,
): Decoded | Promise<Decoded> {
  const found = record.envelope
  const isUsable = found !== undefined && isStorable(found)
  const envelope = isUsable ? found : madeUpEnvelope(record)
  if (!isUsable) {
    const problem =
      found === undefined
        ? 'it has no ce_id, ce_type or ce_source'
        : 'its ce_id, ce_type or ce_source is not 1 to 255 characters without NUL'
    return { kind: 'invalid', envelope, error: invalid(record, problem) }
  }
  const schema = Object.hasOwn(topic.events, envelope.type) ? topic.events[envelope.type] : undefined
  if (schema === undefined || !isHandled(envelope.type)) return { kind: 'skipped', envelope }
  // The cause is left out on purpose: a JSON error quotes the payload.
  const unreadable = (): Decoded => ({
    kind: 'invalid',
    envelope,
    error: invalid(record, `its payload is not ${topic.codec.contentType}`),
  })
  const judge = (result: StandardSchemaV1.Result<unknown>): Decoded =>
    result.issues === undefined
      ? { kind: 'event', envelope, payload: result.value }
      : {
          kind: 'invalid',
          envelope,
          error: invalid(record, 'its payload does not fit the schema', {
            issues: result.issues.map(describe),
          }),
        }
  try {
    const result = schema['~standard'].validate(topic.codec.decode(record.value ?? nothing))
    return result instanceof Promise ? result.then(judge, unreadable) : judge(result)
  } catch {
    return unreadable()
  }
}

const nothing = new Uint8Array()

interface Issue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Path and message of a validation issue, without the value. */
function describe(issue: Issue): { readonly path: string; readonly message: string } {
  const path = (issue.path ?? [])
    .map((segment) => String(typeof segment === 'object' ? segment.key : segment))
    .join('.')
  return { path, message: issue.message }
}

/** The envelope of a record, usable or made up. */
export function envelopeOf(record: ConsumerRecord): Envelope {
  const found = record.envelope
  return found === undefined || !isStorable(found) ? madeUpEnvelope(record) : found
}

/** A record without a usable envelope is known by its place: re-publishing it makes another event. */
function madeUpEnvelope({ topicId, partition, offset, envelope }: ConsumerRecord): Envelope {
  const type = envelope?.type
  return {
    id: `${topicId}/${partition}/${offset}`,
    source: 'kafka',
    type: type !== undefined && fits(type) ? type : '',
    time: '',
  }
}

// NUL cannot be stored, and index rows have a limit: without this check such a record would stop its partition.
const isStorable = ({ id, source, type }: Envelope): boolean => fits(id) && fits(source) && fits(type)
const fits = (value: string): boolean => value.length > 0 && value.length <= 255 && !value.includes('\u0000')

/** Of a record in a retry topic that no consumer has sent there. */
export const notACopy = (record: ConsumerRecord): OutboxError =>
  invalid(record, 'it has no headers oncebox-retry-*, which the copy of an event in a retry topic has')

const invalid = (record: ConsumerRecord, problem: string, details: object = {}): OutboxError =>
  new OutboxError(
    'CONSUMER_EVENT_INVALID',
    `${record.topic}-${record.partition} at ${record.offset} is not an event of its topic: ${problem}`,
    {
      details: {
        topic: record.topic,
        partition: record.partition,
        offset: String(record.offset),
        ...details,
      },
    },
  )
