/**
 * How many rows a batch has at most. A batch that the broker refuses for what is in it is tried again with half as many,
 * until the event that it does not take stands alone; each batch that it takes doubles the limit again. So exactly the
 * refused events are found, and finding one takes about twice the logarithm of a full batch in transactions.
 */
export class BatchLimit {
  readonly #max: number
  #rows: number

  constructor(max: number) {
    this.#max = max
    this.#rows = max
  }

  get rows(): number {
    return this.#rows
  }

  /** A batch of so many rows, of which more than one was an event, was refused. */
  refused(rows: number): void {
    this.#rows = Math.max(1, Math.floor(rows / 2))
  }

  committed(): void {
    this.#rows = Math.min(this.#max, this.#rows * 2)
  }
}
