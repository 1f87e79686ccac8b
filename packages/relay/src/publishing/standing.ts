import type { OpenShard } from '../opening/open-shard.js'
import { positionBehind, type Position, type WindowName } from '../position.js'
import type { Snapshot } from '../reading/snapshot.js'
import type { Cursor, Page } from '../reading/window-reader.js'
import type { WindowRecorder } from '../reading/window-recorder.js'
import type { Confirmation, WindowKey } from './confirmation.js'
import type { EncodedBatch } from './encoded-batch.js'
import type { PublishedUpTo } from './publish-shard.js'

/** What goes with copies of events: how far they have come. */
export type Copied = Pick<Position, 'requeued'> | Pick<Position, 'replayed'>

/**
 * Where a shard stands: what Kafka has, where the next batch starts, and the windows below it, each with its record in the
 * database. A batch takes its position before it is sent, so that the next page can be read meanwhile.
 */
export class Standing {
  readonly #open: OpenShard
  readonly #recorder: WindowRecorder
  readonly #confirmation: Confirmation
  /** As it stands in Kafka. */
  #committed: Position
  /** Where the next batch starts, once all batches before it are committed. */
  #position: Position
  /** The window under the cursor, recorded or being recorded. */
  #window: WindowName
  /** Of the newest record, which may be of a window that was given up. */
  #windowNumber: number
  #cursor: Cursor
  #recorded: Promise<void> = Promise.resolve()
  /** Letters were written since the newest record, by whomever: the next position has to stand on a newer one. */
  #recordIsOld = true
  /** The newest confirmed window that a record carries. */
  #confirmedRecorded: WindowKey | undefined

  constructor(open: OpenShard, recorder: WindowRecorder, confirmation: Confirmation) {
    const { position, confirmed } = open
    this.#open = open
    this.#recorder = recorder
    this.#confirmation = confirmation
    this.#committed = position
    this.#position = position
    this.#window = position.window
    this.#windowNumber = position.window.number
    this.#cursor = cursorAfter(position)
    this.#confirmedRecorded = confirmed
  }

  /** Where the next page is read. */
  get cursor(): Cursor {
    return this.#cursor
  }

  /** Where the next batch starts. */
  get position(): Position {
    return this.#position
  }

  /** Resolves when the database has the record of the window under the cursor: before that, nothing is built upon it. */
  get recorded(): Promise<void> {
    return this.#recorded
  }

  /** Whether a window was confirmed that no record carries yet. */
  get hasNewsToRecord(): boolean {
    return this.#confirmation.confirmed !== this.#confirmedRecorded
  }

  get upTo(): PublishedUpTo {
    return {
      position: this.#committed,
      window: { ...this.#window, number: this.#windowNumber },
      confirmed: this.#confirmation.confirmed,
    }
  }

  /** A record made after the letters: a database that has it has them, too, also after a failover that lost its tail. */
  lettersWritten(): void {
    this.#recordIsOld = true
  }

  /** Moves behind a batch. @returns the position that is committed with it */
  moveBehind(page: Pick<Page, 'from' | 'to'>, batch: EncodedBatch, complete: boolean): Position {
    if (this.#cursor.to === undefined || this.#recordIsOld) this.#record(page.to)
    const position = positionBehind(this.#position, {
      ...this.#stamp(batch),
      from: page.from,
      to: page.to,
      lastSeq: batch.lastSeq,
      lastOfTransaction: complete ? undefined : batch.lastOfTransaction,
      complete,
    })
    this.#position = position
    this.#cursor = cursorAfter(position)
    return position
  }

  /**
   * For copies, in a transaction of their own while nothing else is in flight; go back afterwards.
   * @returns the position that is committed with them: as it stands in Kafka, on a new record
   */
  async standStill(batch: EncodedBatch, copied: Copied): Promise<Position> {
    await this.#recorded
    this.#record(this.#committed.to)
    return positionBehind(this.#committed, { ...this.#stamp(batch), ...copied })
  }

  /** An empty window, recorded, so that the next one begins behind it. */
  async moveOverNothing(to: Snapshot): Promise<void> {
    this.#record(to)
    await this.#recorded
    this.#cursor = { anchor: this.#window, from: to, to: undefined, after: 0n }
  }

  /** An empty window that Kafka's position is to stand on, too. @returns the position to commit */
  async moveBehindNothing(to: Snapshot): Promise<Position> {
    const { from } = this.#cursor
    await this.moveOverNothing(to)
    const position = positionBehind(this.#committed, {
      ...this.#stamp({ events: 0, topics: [] }),
      from,
      to,
      complete: true,
    })
    this.#position = position
    return position
  }

  /** The last page was exactly full: its window ended with it. False when the cursor stands in no window. */
  endWindow(): boolean {
    if (this.#cursor.to === undefined) return false
    this.#confirmation.completed(this.#window)
    this.#cursor = { anchor: this.#window, from: this.#cursor.to, to: undefined, after: 0n }
    return true
  }

  /** Kafka has it. */
  committed(position: Position): void {
    this.#committed = position
  }

  /** To the last committed position. Nothing is in flight. */
  goBack(): void {
    this.#position = this.#committed
    this.#window = this.#committed.window
    this.#cursor = cursorAfter(this.#committed)
    this.#recordIsOld = true
    this.#confirmation.wentBack()
  }

  #stamp({ events, topics }: Pick<EncodedBatch, 'events' | 'topics'>) {
    return {
      incarnation: this.#open.incarnation,
      window: this.#window,
      events,
      unproven: this.#confirmation.unprovenWith(topics),
    }
  }

  #record(to: Snapshot): void {
    const { shard, epoch, incarnation, lifeToken } = this.#open
    const { generation } = this.#window
    const window = { generation, epoch, number: ++this.#windowNumber, incarnation }
    this.#window = window
    this.#recordIsOld = false
    const { confirmed } = this.#confirmation
    this.#confirmedRecorded = confirmed
    this.#recorded = this.#recorder.record({ shard, window, to, confirmed, lifeToken })
    this.#recorded.catch(() => undefined)
  }
}

function cursorAfter({ window, from, to, lastSeq, lastOfTransaction, complete }: Position): Cursor {
  return complete
    ? { anchor: window, from: to, to: undefined, after: 0n }
    : { anchor: window, from, to, after: lastSeq, lastOfTransaction }
}
