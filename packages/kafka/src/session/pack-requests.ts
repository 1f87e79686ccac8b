/** A sealed batch that has to go out. */
export interface BatchToSend<Owner> {
  readonly owner: Owner
  /** Which batch of its partition. */
  readonly index: number
  /** How many batches of the same partition go before it in this wave. */
  readonly round: number
  /** Broker id. */
  readonly leader: number
  readonly bytes: Buffer
}

export interface PackedRequest<Owner> {
  readonly leader: number
  readonly batches: readonly BatchToSend<Owner>[]
}

const requestBytesMax = 8 * 1024 * 1024

/**
 * Requests in the order in which they must be sent: one broker each, at most one batch of a partition, about 8 MB at
 * most (a larger batch goes alone). A broker handles the requests of one connection in order, so the batches of a
 * partition arrive in order although none waits for another's answer.
 */
export function packRequests<Owner>(batches: readonly BatchToSend<Owner>[]): PackedRequest<Owner>[] {
  const packed: { leader: number; round: number; bytes: number; batches: BatchToSend<Owner>[] }[] = []
  for (const batch of batches.toSorted((a, b) => a.round - b.round || a.leader - b.leader)) {
    const { leader, round, bytes } = batch
    const last = packed.at(-1)
    if (last?.leader === leader && last.round === round && last.bytes + bytes.length <= requestBytesMax) {
      last.batches.push(batch)
      last.bytes += bytes.length
    } else {
      packed.push({ leader, round, bytes: bytes.length, batches: [batch] })
    }
  }
  return packed
}
