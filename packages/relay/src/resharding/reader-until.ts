import type { Cursor, Page, PageReader } from '../reading/window-reader.js'
import type { Snapshot } from '../reading/snapshot.js'

/** Reads up to one snapshot and no further, and says when there is nothing left before it. */
export class ReaderUntil implements PageReader {
  readonly #reader: PageReader
  readonly #to: Snapshot
  readonly #onEnd: () => void

  constructor(reader: PageReader, to: Snapshot, onEnd: () => void) {
    this.#reader = reader
    this.#to = to
    this.#onEnd = onEnd
  }

  async read(cursor: Cursor, rowsMax: number): Promise<Page | undefined> {
    // In the middle of a window that was begun before: that comes first.
    if (cursor.to !== undefined) return await this.#reader.read(cursor, rowsMax)
    const page =
      cursor.from.text === this.#to.text
        ? undefined
        : await this.#reader.read({ ...cursor, to: this.#to }, rowsMax)
    if (page === undefined || !page.rows.next()) this.#onEnd()
    page?.rows.rewind()
    return page
  }
}
