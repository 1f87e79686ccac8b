import { channels, faultPoint } from '@oncebox/core'
import type { SetAside } from '../publishing/exceptions.js'
import { column } from '../reading/read-window.js'
import type { Page } from '../reading/window-reader.js'
import type { LetterReads } from './letter-reads.js'
import type { LetterWrites } from './letter-writes.js'
import { ParkedKeys } from './parked-keys.js'

export interface LetterBookParts {
  readonly relay: string
  readonly shard: number
  readonly reads: LetterReads
  readonly writes: LetterWrites
}

const openLettersPage = 10_000

/**
 * What the relay of a shard knows of its dead letters: which keys are parked, and which events have a letter already. Held
 * in memory, since only the holder of the shard's epoch changes it.
 */
export class LetterBook {
  readonly parked = new ParkedKeys()
  /** Queues whose first letter may be published, and the letter up to which each has ended. */
  readonly due = new Map<string, number>()
  readonly #parts: LetterBookParts
  /** No event above it has a letter of anybody. */
  #newestSeq = 0n

  constructor(parts: LetterBookParts) {
    this.#parts = parts
  }

  /**
   * Reads what an earlier holder has left.
   * @param republished Letters that the last position in Kafka says were published: the database may not know it yet.
   *
   * More keys than the shard may park are taken over all the same, whether it may park fewer now or shards were merged: else
   * nobody could requeue or discard them. No further one is parked until there is room.
   *
   * @throws OutboxError RELAY_FENCED, RELAY_LIFE_ENDED
   */
  async load(republished: readonly number[]): Promise<void> {
    const { reads, writes } = this.#parts
    const settled = republished.map((number) => ({ number, action: 0 }))
    if (settled.length > 0) await writes.settle('published', settled)
    this.#newestSeq = await reads.newestSeq()
    for (let after = 0; ;) {
      const page = await reads.openLetters(after, openLettersPage)
      for (const { queue, topic, key, parksKey, refused } of page) {
        const isFirst = !parksKey || key === null || !this.parked.has(topic, key)
        if (isFirst && !refused) this.due.set(queue, 0)
        if (parksKey && key !== null) this.parked.add(topic, key)
      }
      const last = page.at(-1)
      if (last === undefined || page.length < openLettersPage) return
      after = last.number
    }
  }

  /**
   * The events of a page that have a letter already, of an earlier holder or of a batch that was given up. Asked only
   * where there can be any: not for events above the newest letter.
   */
  async passedOver({ rows, order }: Pick<Page, 'rows' | 'order'>): Promise<ReadonlySet<bigint>> {
    const seqs: bigint[] = []
    while (rows.next()) {
      const seq = rows.bytes.readBigInt64BE(rows.starts[column.seq])
      if (seq <= this.#newestSeq) seqs.push(seq)
      else if (order === 'seq') break // they rise
    }
    rows.rewind()
    return seqs.length === 0 ? nothing : await this.#parts.reads.withLetter(seqs)
  }

  /** Writes letters; from here on their keys are parked, and the position may pass their events. */
  async setAside(events: readonly SetAside[]): Promise<void> {
    const { relay, shard, writes } = this.#parts
    await faultPoint('relay.poison.found')
    await writes.setAside(events)
    await faultPoint('relay.poison.recorded')
    for (const { seq, topic, key, parksKey } of events) {
      if (parksKey && key !== undefined) this.parked.add(topic, key)
      if (seq > this.#newestSeq) this.#newestSeq = seq
    }
    const letters = events.map(({ id, seq, topic, key, refusal }) => ({
      id,
      seq: String(seq),
      topic,
      key: key?.toString('utf8') ?? null,
      code: refusal?.code ?? null,
    }))
    channels.relayDeadLettered.publish({ relay, shard, letters })
  }
}

const nothing: ReadonlySet<bigint> = new Set()
