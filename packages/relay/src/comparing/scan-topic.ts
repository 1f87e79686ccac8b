import { envelopeHeaders, adoptedHeader, replayedHeader } from '@oncebox/core'
import { readPartition, type ConsumedRecord, type KafkaClient } from '@oncebox/kafka'
import type { ComparedTopic } from './compared-topic.js'
import { uuidBytes } from './entry.js'
import { writeRecord } from './record-entry.js'
import { sourceHash } from './source-hash.js'
import { partOf, type Spill } from './spill.js'

export interface ScanTopicRequest {
  readonly kafka: KafkaClient
  readonly topic: ComparedTopic
  /** As the rows name it. */
  readonly number: number
  /** Events of other sources are other outboxes'. */
  readonly sources: ReadonlySet<string>
  /** Events that occurred earlier are not compared. */
  readonly sinceMs?: number
  readonly records: Spill
  readonly onRecords: (records: number) => void
  readonly signal: AbortSignal
}

// Ten million records take minutes.
const deadlineMs = 24 * 3_600_000
const recordsPerReport = 10_000

/** Reads what is committed in a topic, once, into `records`: id, source, partition and offset of each event. */
export async function scanTopic(request: ScanTopicRequest): Promise<void> {
  const { kafka, topic, records, onRecords, signal } = request
  let read = 0
  for (const [partition, { from, end }] of topic.partitions.entries()) {
    if (from >= end) continue
    const range = { topic: topic.name, partition, fromOffset: from, endOffset: end, deadlineMs, signal }
    for await (const record of readPartition(kafka, range)) {
      add(request, partition, record)
      if (++read % recordsPerReport !== 0) continue
      await records.written()
      onRecords(recordsPerReport)
    }
  }
  onRecords(read % recordsPerReport)
}

function add(
  { number, sources, sinceMs, records }: ScanTopicRequest,
  partition: number,
  { offset, headers }: ConsumedRecord,
): void {
  let id: Buffer | undefined
  let source: Buffer | undefined
  let isOutOfTurn = false
  let isOld = false
  for (const [name, value] of headers) {
    if (name === envelopeHeaders.id) id = uuidBytes(value.toString('latin1'))
    else if (name === envelopeHeaders.source) source = sourceHash(value)
    else if (name === envelopeHeaders.time)
      isOld = sinceMs !== undefined && Date.parse(value.toString('latin1')) < sinceMs
    else isOutOfTurn ||= name === adoptedHeader || name === replayedHeader
  }
  // Not one of this outbox: another program's record, or another service's event.
  if (isOld || id === undefined || source === undefined || !sources.has(source.toString('latin1'))) return
  const entry = records.add(partOf(Buffer.concat([id, source])))
  writeRecord(entry, { id, source, topic: number, isOutOfTurn, partition, offset })
}
