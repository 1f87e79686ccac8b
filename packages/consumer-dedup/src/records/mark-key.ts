import type { Envelope } from '@oncebox/core'
import { uuidOfHash } from './uuid-of-hash.js'

/** The key of a dedup mark: pure functions of the event, so that every delivery of it has the same. */
export interface MarkKey {
  readonly source: string
  /** The event id when it is a UUID, else a UUID made from its hash: 16 bytes in the index whatever producers send. */
  readonly id: string
  readonly eventAt: Date
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const isVersion7 = (id: string): boolean => id[14] === '7'
// What both JavaScript and PostgreSQL can hold, with room: 1 January 1970 to 9999.
const timeMax = Date.UTC(9999, 0)
const dayMs = 86_400_000

export function markKeyOf({ id, source }: Pick<Envelope, 'id' | 'source'>): MarkKey {
  if (!uuid.test(id)) return { source, id: uuidOfHash(id), eventAt: new Date(0) }
  return { source, id: id.toLowerCase(), eventAt: timeIn(id) }
}

/** The key of what is known of an event in a retry topic, while what is known of the event itself is kept under its own. */
export function markKeyOfTier(envelope: Pick<Envelope, 'id' | 'source'>, tier: number): MarkKey {
  return { ...markKeyOf(envelope), id: uuidOfHash(`${envelope.id}\nretry ${tier}`) }
}

/**
 * The time inside the UUID v7, else the epoch: no time. The time in the envelope may be another one when a producer sends the
 * event again, and so are the record's and the clock's.
 */
function timeIn(id: string): Date {
  if (!isVersion7(id)) return new Date(0)
  const ms = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
  return new Date(ms < timeMax ? ms : 0)
}

/** Whether it is a time. Marks before the second day of 1970 are kept apart. */
export const isTimed = (eventAt: Date): boolean => eventAt.getTime() >= dayMs
