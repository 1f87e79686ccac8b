/** What the topics and the tables of effects show, in the judge's terms. */
import type { Sighting, TopicRecord } from '@internal/audit'
import { z } from 'zod'
import { eventId, eventKey } from './events.js'
import type { EffectRow } from './truth.js'

const payload = z.object({ orderId: z.string(), version: z.number() })

/** Records of one topic. One that cannot be read is a phantom: nobody has committed it. */
export function publishedSightings(records: readonly TopicRecord[]): Sighting[] {
  return records.map((record) => {
    const type = record.headers.get('ce_type') ?? 'no type'
    const place = { partition: record.partition, at: `${record.topic}-${record.partition}@${record.offset}` }
    const told = payload.safeParse(parseJson(record.value))
    if (!told.success) return { ...place, id: `unreadable ${place.at}`, key: record.key, version: 0 }
    const { orderId, version } = told.data
    // The key is the record's own, so that a record under another order's key is found out.
    return { ...place, id: eventId(type, orderId, version), key: eventKey(type, record.key ?? ''), version }
  })
}

function parseJson(value: Buffer | null): unknown {
  try {
    return JSON.parse(value?.toString() ?? 'null')
  } catch {
    return undefined
  }
}

/** Rows of one table of effects. */
export function effectSightings(rows: readonly EffectRow[]): Sighting[] {
  return rows.map(({ row_number, type, order_id, version }) => ({
    id: eventId(type, order_id, version),
    key: eventKey(type, order_id),
    version,
    at: `effects row ${row_number}`,
  }))
}
