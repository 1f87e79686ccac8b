/** The outbox of one service: rows and events are committed together, or neither is. */
import {
  channels,
  faultPoint,
  OutboxError,
  type AnyTopic,
  type Database,
  type EmittingMessage,
  type SqlConnection,
  type TransactionOptions,
} from '@oncebox/core'
import { insideTransaction, type TransactionHandle } from './adapters/transaction-handle.js'
import { EventBuffer } from './event-buffer.js'
import { completeRows, eventRow, type PendingRow } from './event-row.js'
import type {
  Emit,
  EmitOptions,
  EventInput,
  EventToEmit,
  EventType,
  TombstoneOptions,
} from './event-types.js'
import { v7 as uuid7 } from 'uuid'
import { startTracing } from '@oncebox/telemetry'
import { insertEvents, type TransactionId } from './insert-events.js'
import { resolveOutboxOptions, type OutboxOptions, type TopicOf } from './outbox-options.js'
import { resolveCommit } from './resolve-commit.js'

/** Options of one `outbox.transaction`. */
export type OutboxTransactionOptions = Pick<TransactionOptions, 'isolation'>

/** Made by {@link createOutbox}. It holds no connection and nothing to close. */
export interface Outbox<Topics extends readonly AnyTopic[] = readonly AnyTopic[]> {
  readonly source: string
  readonly topics: Topics

  /**
   * Begins a transaction, runs `work`, inserts what it emitted and commits; rolls back when `work` throws.
   *
   * The events are inserted just before COMMIT, when the transaction holds every lock it took, so the events of a key
   * come in the order in which the transactions took effect. `emit` checks and encodes at once and throws what it
   * finds; an asynchronous schema is awaited before COMMIT. Rolling back to a savepoint does not take an emit back:
   * inside savepoints use `outbox.emit(tx, ...)`, which writes at once.
   *
   * @throws OutboxError OUTBOX_TRANSACTION_FAILED when a statement failed and `work` returned all the same,
   *   OUTBOX_TRANSACTION_ENDED when `work` ended the transaction itself, OUTBOX_COMMIT_ROLLED_BACK and
   *   OUTBOX_COMMIT_LOST (nothing was written), OUTBOX_COMMIT_UNKNOWN (the connection was lost during COMMIT and the
   *   outcome could not be learned within 10 seconds). Errors of `work` and of the database pass unchanged.
   */
  transaction<Tx, Result>(
    db: Database<Tx>,
    work: (tx: Tx, emit: Emit<Topics>) => Promise<Result>,
    options?: OutboxTransactionOptions,
  ): Promise<Result>

  /**
   * Writes one event inside the caller's own transaction, after the row lock that orders its key was taken, and
   * returns its id (UUID v7). A `null` payload is a tombstone.
   * @throws OutboxError OUTBOX_NOT_IN_TRANSACTION, OUTBOX_TRANSACTION_FAILED, OUTBOX_TRANSACTION_ENDED,
   *   OUTBOX_EVENT_UNKNOWN, OUTBOX_PAYLOAD_INVALID, OUTBOX_PAYLOAD_TOO_LARGE, OUTBOX_OPTIONS_INVALID: nothing is written
   */
  emit(
    tx: TransactionHandle,
    type: EventType<Topics>,
    payload: null,
    options: TombstoneOptions,
  ): Promise<string>
  emit<Type extends EventType<Topics>>(
    tx: TransactionHandle,
    type: Type,
    payload: EventInput<Topics, Type>,
    options?: EmitOptions,
  ): Promise<string>

  /** Writes several events in one statement (one for every 1,000) and returns their ids in that order. Throws as `emit` does. */
  emitMany(tx: TransactionHandle, events: readonly EventToEmit<Topics>[]): Promise<string[]>
}

/**
 * The outbox of one service.
 *
 * @example
 * const outbox = createOutbox({ source: 'order-service', topics: [orders] })
 * await outbox.transaction(fromPg(pool), async (tx, emit) => {
 *   await tx.query('insert into orders (id, total_cents) values ($1, $2)', [id, totalCents])
 *   emit('order.placed', { orderId: id, totalCents })
 * })
 * @throws OutboxError OUTBOX_OPTIONS_INVALID, OUTBOX_EVENT_AMBIGUOUS
 */
export function createOutbox<const Topics extends readonly AnyTopic[]>(
  options: OutboxOptions<Topics>,
): Outbox<Topics> {
  const { source, topics, notify = false, tracing = true } = options
  const topicOf = resolveOutboxOptions(options)
  if (tracing) startTracing()
  const rowOf = (type: string, payload: unknown, given: EmitOptions, id: string = uuid7()): PendingRow => {
    const topic = topicFor(topicOf, type)
    return eventRow(topic, type, payload, given, id, (headers) =>
      tracing && channels.outboxEmitting.hasSubscribers
        ? withTraceContext({ source, topic: topic.name, type, id }, headers)
        : headers,
    )
  }
  const write = async (tx: unknown, pending: readonly PendingRow[]): Promise<string[]> => {
    const connection = insideTransaction(tx)
    // No turn of the event loop between the check and the insert, unless a schema needs it: a COMMIT that the caller
    // sends without awaiting this call comes after it.
    const rows = completeRows(pending)
    const ready = rows instanceof Promise ? await rows : rows
    if (ready.length > 0) await insertEvents(connection, source, ready, notify)
    return ready.map((row) => row.id)
  }
  return Object.freeze({
    source,
    topics: Object.freeze([...topics]) as unknown as Topics,
    transaction: <Tx, Result>(
      db: Database<Tx>,
      work: (tx: Tx, emit: Emit<Topics>) => Promise<Result>,
      given: OutboxTransactionOptions = {},
    ): Promise<Result> => runOutboxTransaction({ source, rowOf, notify, db, work, given }),
    emit: async (
      tx: TransactionHandle,
      type: string,
      payload: unknown,
      emitOptions: EmitOptions = {},
    ): Promise<string> => {
      const [id = ''] = await write(tx, [rowOf(type, payload, emitOptions)])
      return id
    },
    emitMany: async (tx: TransactionHandle, events: readonly EventToEmit<Topics>[]): Promise<string[]> =>
      write(
        tx,
        events.map((event) => rowOf(event.type, event.payload, event)),
      ),
  })
}

interface OutboxTransaction<Tx, Result, Topics extends readonly AnyTopic[]> {
  readonly source: string
  readonly rowOf: (type: string, payload: unknown, given: EmitOptions, id: string) => PendingRow
  readonly notify: boolean
  readonly db: Database<Tx>
  readonly work: (tx: Tx, emit: Emit<Topics>) => Promise<Result>
  readonly given: OutboxTransactionOptions
}

async function runOutboxTransaction<Tx, Result, Topics extends readonly AnyTopic[]>({
  source,
  rowOf,
  notify,
  db,
  work,
  given,
}: OutboxTransaction<Tx, Result, Topics>): Promise<Result> {
  const buffer = new EventBuffer()
  let inserted: { txid: TransactionId; id: string; events: number } | undefined

  const insert = async (connection: SqlConnection): Promise<void> => {
    const rows = await buffer.rows()
    const last = rows.at(-1)
    if (last === undefined) return
    const txid = await insertEvents(connection, source, rows, notify)
    inserted = { txid, id: last.id, events: rows.length }
    await faultPoint('outbox.events.inserted')
  }

  const result = await db.transaction(
    async (tx) => {
      const emit = (type: string, payload: unknown, options: EmitOptions = {}): string => {
        buffer.assertOpen()
        db.inside(tx) // throws when the transaction has failed or ended
        const id = uuid7()
        buffer.add(rowOf(type, payload, options, id))
        return id
      }
      try {
        return await work(tx, emit)
      } finally {
        buffer.close()
      }
    },
    {
      ...given,
      beforeCommit: insert,
      commitSent: () => faultPoint('outbox.commit.sent'),
      // A transaction that emitted nothing left no row to look for.
      resolveCommit: async (connection) =>
        inserted === undefined ? 'unknown' : resolveCommit(connection, inserted.txid, inserted.id),
    },
  )
  await faultPoint('outbox.commit.acked')
  if (inserted !== undefined) channels.outboxCommitted.publish({ source, events: inserted.events })
  return result
}

/** Lets whoever traces add the context of this emit. */
function withTraceContext(
  event: Omit<EmittingMessage, 'headers'>,
  headers: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const added: Record<string, string> = { ...headers }
  channels.outboxEmitting.publish({ ...event, headers: added } satisfies EmittingMessage)
  return { ...added, ...headers }
}

function topicFor(topicOf: TopicOf, type: string): AnyTopic {
  const topic = topicOf.get(type)
  if (topic !== undefined) return topic
  throw new OutboxError(
    'OUTBOX_EVENT_UNKNOWN',
    `no topic of this outbox has an event ${JSON.stringify(type)}`,
    { details: { type } },
  )
}
