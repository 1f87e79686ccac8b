/** Rotation waits for a shard: it is to confirm what it has published. Raised by one, answered by the other. */
export class Demand {
  #raised = false

  get isRaised(): boolean {
    return this.#raised
  }

  raise(): void {
    this.#raised = true
  }

  answer(): void {
    this.#raised = false
  }
}
