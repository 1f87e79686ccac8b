import type { Client } from 'pg'
import { faultPoint, adoptedHeader } from '@oncebox/core'
import type { KafkaClient, TransactionSession } from '@oncebox/kafka'
import { ParkedKeys } from '../dead-letters/parked-keys.js'
import type { AbsentEvent, AbsentEvents } from '../comparing/findings.js'
import type { ResolvedRelayOptions } from '../options.js'
import { BatchEncoder } from '../publishing/batch-encoder.js'
import type { Exceptions } from '../publishing/exceptions.js'
import { Routes } from '../publishing/routes.js'
import { copyOut } from '../reading/copy-out.js'
import { CopyRows } from '../reading/copy-rows.js'
import { columns, rowOverheadBytes } from '../reading/read-window.js'

export interface PublishAbsentRequest {
  readonly options: ResolvedRelayOptions
  /** In the transaction of the comparison. */
  readonly client: Client
  readonly kafka: KafkaClient
  readonly session: TransactionSession
  readonly absent: AbsentEvents
  /** Of the shard map that adopt has begun. */
  readonly generation: number
  readonly onProgress: (sentence: string) => void
  readonly signal: AbortSignal
}

/**
 * Publishes the absent events in the order of their sequence numbers, a Kafka transaction for each batch. Interrupted
 * after any of them, the next run finds what was committed in the topics. @returns How many were published.
 */
export async function publishAbsent(request: PublishAbsentRequest): Promise<number> {
  const { options, client, kafka, session, absent, generation, onProgress, signal } = request
  const headers = [[adoptedHeader, String(generation)]] as const
  const encoder = new BatchEncoder(new Routes(kafka, options.progressTopic, headers), options.compression)
  let published = 0
  let lastSeq = -1n
  for await (const batch of batchesOf(absent, options)) {
    signal.throwIfAborted()
    const rows = new CopyRows(await readEvents(client, batch), columns.length)
    const encoded = await encoder.encode(rows, lastSeq, noExceptions, signal)
    if (encoded.halt !== undefined) throw encoded.halt.error
    await session.publish({ partitions: encoded.partitions })
    await faultPoint('relay.adopt.published')
    lastSeq = encoded.lastSeq
    published += encoded.events
    onProgress(`${published} of ${absent.count} absent events are published`)
  }
  return published
}

/** What cannot be published stops it, typed: adopt sets nothing aside. */
const noExceptions: Exceptions = {
  passedOver: new Set(),
  refused: new Map(),
  parked: new ParkedKeys(),
  parkedKeysMax: 0,
  doubtful: new Set(),
  choiceFor: () => 'stop',
}

async function* batchesOf(
  absent: AbsentEvents,
  { eventsMax, bytesMax }: ResolvedRelayOptions,
): AsyncGenerator<readonly AbsentEvent[]> {
  let batch: AbsentEvent[] = []
  let bytes = 0
  for await (const event of absent.inOrder()) {
    if (batch.length > 0 && (batch.length >= eventsMax || bytes + event.payloadBytes > bytesMax)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(event)
    bytes += event.payloadBytes + rowOverheadBytes
  }
  if (batch.length > 0) yield batch
}

/** By number and id: across slots a restored table may repeat a number. Index on seq; COPY takes no parameters. */
async function readEvents(client: Client, events: readonly AbsentEvent[]): Promise<Buffer> {
  const seqs = events.map(({ seq }) => String(seq)).join(',')
  const ids = events.map(({ id }) => id).join(',')
  const selected = columns.map((name) => (name === 'headers' ? 'e.headers::text' : `e.${name}`)).join(', ')
  const sql = `copy (
    select ${selected}
      from unnest('{${seqs}}'::bigint[], '{${ids}}'::uuid[]) as a(seq, id)
      join outbox.events e on e.seq = a.seq and e.id = a.id
     order by e.seq
  ) to stdout (format binary)`
  return await copyOut(client, sql)
}
