import pg from 'pg'

const firstBytes = 16 * 1024

/**
 * Statements of one round trip, one of which is a COPY to standard output: the rows of the others and the bytes of that one.
 * For pages of a few rows; pg-copy-streams, which takes the socket for itself and gives it back, costs 0.4 ms more a page, and
 * allows no other statement beside.
 */
export class CopyQuery extends pg.Query {
  #bytes = Buffer.allocUnsafe(firstBytes)
  #length = 0
  readonly answered: Promise<readonly { readonly rows: readonly object[] }[]>

  constructor(text: string) {
    let settle: (error: Error | undefined, results: unknown) => void = () => undefined
    super(text, (error, results) => settle(error ?? undefined, results))
    this.answered = new Promise((resolve, reject) => {
      settle = (error, results) => {
        if (error !== undefined) reject(error)
        // Of several statements the driver answers a list; its types know one result.
        else resolve(results as readonly { readonly rows: readonly object[] }[])
      }
    })
  }

  /** What COPY has sent. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Called by the driver, a row at a time. Copied: the driver uses its buffer again. */
  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    const length = this.#length + chunk.length
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#bytes.length))
      this.#bytes.copy(larger, 0, 0, this.#length)
      this.#bytes = larger
    }
    chunk.copy(this.#bytes, this.#length)
    this.#length = length
  }
}
