import { OutboxError } from '@oncebox/core'
import type { CopyRows } from '../reading/copy-rows.js'
import { lastOfTransactionColumn } from '../reading/read-transactions.js'

/** That rows come transaction by transaction, and where they go on. */
export interface InTransactions {
  /** Of the transaction that the last event before the page is of; 0 for none. */
  readonly lastOfTransaction: bigint
  /** Whether a batch may end only where a transaction does. */
  readonly whole: boolean
  /** One that goes out in parts all the same, so many rows at a time: the broker refuses something in it. */
  readonly cut?: { readonly last: bigint; readonly rowsMax: number } | undefined
}

/** How far a page is walked, that its rows come in their order, and where a batch may end. */
export class RowWalk {
  readonly #inTransactions: InTransactions | undefined
  /** Of the transaction that the row under the cursor is of. */
  #arrived: bigint | undefined
  /** Rows, and events, before that transaction. */
  #rowsBefore = 0
  #eventsBefore = 0
  /** Rows after which the page ends, in the middle of the one transaction that it has. */
  #cutAt: number | undefined
  lastSeq: bigint
  /** Of the transaction that `lastSeq` is of. */
  lastOfTransaction: bigint | undefined
  lastEventSeq = 0n
  transactions = 0
  rows = 0
  events = 0

  /** @param after The row behind which the page begins. */
  constructor(after: bigint, inTransactions: InTransactions | undefined) {
    this.lastSeq = after
    this.lastOfTransaction = inTransactions?.lastOfTransaction
    this.#inTransactions = inTransactions
  }

  /** @throws OutboxError RELAY_ORDER_BROKEN for a row that does not come behind the last one */
  arrive(seq: bigint, { bytes, starts }: CopyRows): void {
    const before = this.lastOfTransaction
    if (before === undefined) {
      if (seq <= this.lastSeq)
        throw new OutboxError('RELAY_ORDER_BROKEN', `event ${seq} came after event ${this.lastSeq}`)
      return
    }
    const last = bytes.readBigInt64BE(starts[lastOfTransactionColumn])
    if (last < before || (last === before && seq <= this.lastSeq))
      throw new OutboxError(
        'RELAY_ORDER_BROKEN',
        `event ${seq} of the transaction that ends with ${last} came after event ${this.lastSeq} of the one that ends with ${before}`,
      )
    if (last === this.#arrived) return
    const cut = this.#inTransactions?.cut
    if (this.transactions === 0 && cut?.last === last) this.#cutAt = cut.rowsMax
    this.#arrived = last
    this.transactions++
    this.#rowsBefore = this.rows
    this.#eventsBefore = this.events
  }

  /** The row is in the batch, or set aside. */
  pass(seq: bigint): void {
    this.lastSeq = seq
    if (this.#arrived !== undefined) this.lastOfTransaction = this.#arrived
    this.rows++
  }

  /** The row is an event of the batch. */
  passEvent(seq: bigint): void {
    this.events++
    this.lastEventSeq = seq
    this.pass(seq)
  }

  /** Whether the page ends before the row under the cursor. */
  get isCutHere(): boolean {
    return this.#cutAt !== undefined && (this.transactions > 1 || this.rows >= this.#cutAt)
  }

  /** Whether the batch may end before the row under the cursor, and has events then. */
  get canEndBefore(): boolean {
    return (this.#staysWhole ? this.#eventsBefore : this.events) > 0
  }

  /**
   * Rows up to the end of a transaction, when transactions are to stay whole and the page stops inside of one. Events of it
   * are in the batch, which cannot be used then.
   */
  get stopsBehind(): number | undefined {
    const isInside = this.rows > 0 && this.lastSeq !== this.lastOfTransaction
    return isInside && this.#staysWhole ? this.#rowsBefore : undefined
  }

  get #staysWhole(): boolean {
    return this.#inTransactions?.whole === true && this.#cutAt === undefined
  }
}
