import { RecordEntry } from './record-entry.js'
import { RowEntry } from './row-entry.js'
import { partCount, type Spill } from './spill.js'

/** All rows and all records of one event. Several rows when plain SQL has used an id twice. */
export interface SameEvent {
  readonly rows: readonly RowEntry[]
  readonly records: readonly RecordEntry[]
}

/** Brings rows and records of the same id and source together, one part at a time. */
export async function* joinByName(rows: Spill, records: Spill): AsyncGenerator<SameEvent> {
  for (let part = 0; part < partCount; part++) {
    const events = new Map<string, { rows: RowEntry[]; records: RecordEntry[] }>()
    const eventOf = (name: Buffer): { rows: RowEntry[]; records: RecordEntry[] } => {
      const text = name.toString('latin1')
      let event = events.get(text)
      if (event === undefined) events.set(text, (event = { rows: [], records: [] }))
      return event
    }
    for (const entry of entriesOf(await rows.read(part), RowEntry.size)) {
      const row = new RowEntry(entry)
      eventOf(row.name).rows.push(row)
    }
    for (const entry of entriesOf(await records.read(part), RecordEntry.size)) {
      const record = new RecordEntry(entry)
      eventOf(record.name).records.push(record)
    }
    yield* events.values()
  }
}

export function* entriesOf(bytes: Buffer, entryBytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += entryBytes) yield bytes.subarray(at, at + entryBytes)
}
