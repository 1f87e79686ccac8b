import type { Client } from 'pg'
import { describeComparedTopic, type ComparedTopic } from './compared-topic.js'
import type { CompareRequest } from './compare-request.js'
import type { OpenFiles } from './open-files.js'
import { RecordEntry } from './record-entry.js'
import { RowEntry } from './row-entry.js'
import { noRows, scanLateRows, scanRows, type RowScope, type ScannedRows } from './scan-rows.js'
import { scanTopic } from './scan-topic.js'
import { Spill } from './spill.js'

/** What was read of an outbox and of its topics. */
export interface BothSides {
  readonly scanned: ScannedRows
  readonly topics: readonly ComparedTopic[]
  readonly rowSpill: Spill
  readonly recordSpill: Spill
  readonly rows: number
  readonly records: number
}

/** Rows first: they say which topics to read, and which sources are this outbox's. */
export async function readBothSides(request: CompareRequest, files: OpenFiles): Promise<BothSides> {
  const { kafka, scope, signal, onProgress } = request
  const rowSpill = files.keep(await Spill.create(RowEntry.size))
  const recordSpill = files.keep(await Spill.create(RecordEntry.size))
  const scanned = noRows()
  const progress = new Counter((count) => onProgress(`${count} rows read`))
  const scan = { ...request, rows: rowSpill, onPage: (count: number) => progress.add(count) }
  await scanRows(scan, scanned)
  const rows = rowSpill.count
  const topics: ComparedTopic[] = []
  for (const [number, name] of scanned.topics.all.entries()) {
    const topic = await describeComparedTopic(kafka, name, { ...request, ...sinceOf(scope) })
    topics.push(topic)
    const counter = new Counter((count) => onProgress(`${name}: ${count} records read`))
    await scanTopic({
      kafka,
      topic,
      number,
      sources: scanned.sources,
      ...sinceOf(scope),
      records: recordSpill,
      onRecords: (count) => counter.add(count),
      signal,
    })
  }
  const records = recordSpill.count
  if (request.connectLate !== undefined) await addLateRows(request, request.connectLate, rowSpill, scanned)
  return { scanned, topics, rowSpill, recordSpill, rows, records }
}

const sinceOf = ({ sinceMs }: RowScope): { readonly sinceMs?: number } =>
  sinceMs === undefined ? {} : { sinceMs }

async function addLateRows(
  request: CompareRequest,
  connect: () => Promise<Client>,
  rows: Spill,
  scanned: ScannedRows,
): Promise<void> {
  const client = await connect()
  try {
    await client.query('begin isolation level read committed read only')
    // Their topics may be new: nothing of those was read, and nothing is said about them.
    await scanLateRows({ ...request, client, rows, onPage: () => undefined }, scanned)
    await client.query('commit')
  } finally {
    await client.end().catch(() => undefined)
  }
}

const reportEvery = 250_000

/** Says how far it is, now and then. */
class Counter {
  readonly #say: (count: number) => void
  #count = 0
  #said = 0

  constructor(say: (count: number) => void) {
    this.#say = say
  }

  add(count: number): void {
    this.#count += count
    if (this.#count - this.#said < reportEvery) return
    this.#said = this.#count
    this.#say(this.#count)
  }
}
