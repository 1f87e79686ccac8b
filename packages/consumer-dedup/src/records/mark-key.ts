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

export function markKeyOf(envelope: Pick<Envelope, 'id' | 'source' | 'time'>): MarkKey {
  const id = uuid.test(envelope.id) ? envelope.id.toLowerCase() : uuidOfHash(envelope.id)
  return { source: envelope.source, id, eventAt: eventTime(envelope) }
}

/** The key of what is known of an event in a retry topic, while what is known of the event itself is kept under its own. */
export function markKeyOfTier(envelope: Pick<Envelope, 'id' | 'source' | 'time'>, tier: number): MarkKey {
  return { ...markKeyOf(envelope), id: uuidOfHash(`${envelope.id}\nretry ${tier}`) }
}

/** The time inside the UUID v7, else the emitter's time, else the epoch. Never the record's or the clock's time. */
function eventTime({ id, time }: Pick<Envelope, 'id' | 'time'>): Date {
  if (uuid.test(id) && isVersion7(id)) return clamp(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16))
  return clamp(Date.parse(time))
}

const clamp = (ms: number): Date => new Date(ms >= 0 && ms < timeMax ? ms : 0)
