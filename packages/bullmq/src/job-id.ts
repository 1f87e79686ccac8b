import type { EventKey } from '@oncebox/consumer-dedup/redis'
import { OutboxError } from '@oncebox/core'

// BullMQ refuses ids with a colon, and ids that are integers. An @ is escaped in both halves, and is in every id.
const separator = '@'
const lengthMax = 1_024

/**
 * The id of an event's job, the same for each delivery: `id@source`, both escaped as in a URL.
 *
 * @throws OutboxError CONSUMER_OPTIONS_INVALID
 */
export function jobIdOf({ source, id }: EventKey): string {
  return `${escaped('id', id)}${separator}${escaped('source', source)}`
}

/**
 * The event that a job was made of.
 *
 * @throws OutboxError CONSUMER_OPTIONS_INVALID when handOver() did not make it
 */
export function eventOfJob({ id: jobId = '' }: { readonly id?: string | undefined }): EventKey {
  const [id, source, ...rest] = jobId.split(separator)
  if (!id || !source || rest.length > 0)
    throw invalid(`job ${JSON.stringify(jobId)} was not made of an event: its id is not id@source`)
  try {
    return { source: decodeURIComponent(source), id: decodeURIComponent(id) }
  } catch (cause) {
    throw invalid(`job ${JSON.stringify(jobId)} was not made of an event: its id is not escaped`, cause)
  }
}

function escaped(what: string, text: string): string {
  if (typeof text !== 'string' || text.length === 0 || text.length > lengthMax)
    throw invalid(`${what} of an event is 1 to ${lengthMax} characters`)
  try {
    return encodeURIComponent(text)
  } catch (cause) {
    throw invalid(`${what} of an event is not well-formed Unicode`, cause)
  }
}

const invalid = (message: string, cause?: unknown): OutboxError =>
  new OutboxError('CONSUMER_OPTIONS_INVALID', message, cause === undefined ? {} : { cause })
