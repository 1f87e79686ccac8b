import { nextDelayMs } from '@oncebox/core'
import type { LogOffsets, WaitingBatch } from './fetched-batch.js'

/** A partition to read, and where from. */
export interface PartitionStart {
  readonly topic: string
  readonly partition: number
  /** The first offset to fetch. */
  readonly offset: bigint
  /** The topic that is meant. Default: the one that has the name when the partition is first looked up. */
  readonly topicId?: string
}

const retry = { minMs: 20, maxMs: 500 }

/**
 * One partition that is read: where its fetches begin, what was fetched and not delivered, and who leads it. Whatever
 * makes fetched things obsolete (a seek, a pause) raises `version`: an answer to a fetch of another version is dropped.
 */
export class PartitionCursor {
  readonly topic: string
  readonly partition: number
  topicId: string | undefined
  /** The broker to fetch from; undefined until it is looked up, and again when that broker does not want it. */
  leader: number | undefined
  #version = 0
  /** Where the next batch that is delivered begins. */
  #position: bigint
  /** Where the next fetch begins: behind the batch that waits, if one does. */
  #fetchOffset: bigint
  #waiting: WaitingBatch | undefined
  #log: LogOffsets | undefined
  #describedAt = 0
  #isPaused = false
  #isClosed = false
  #failures = 0
  #failingSince = 0
  #retryAt = 0
  #idleSince = performance.now()

  constructor({ topic, partition, offset, topicId }: PartitionStart) {
    this.topic = topic
    this.partition = partition
    this.topicId = topicId
    this.#position = offset
    this.#fetchOffset = offset
  }

  get version(): number {
    return this.#version
  }

  get position(): bigint {
    return this.#position
  }

  get fetchOffset(): bigint {
    return this.#fetchOffset
  }

  /** The log as the last answer described it. */
  get log(): LogOffsets | undefined {
    return this.#log
  }

  /** How long ago that was. */
  get logAgeMs(): number {
    return performance.now() - this.#describedAt
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  /** No longer assigned, or halted: nothing of it is fetched or delivered any more. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  get waitingBytes(): number {
    return this.#waiting?.bytes.length ?? 0
  }

  get mayBeFetched(): boolean {
    return !this.#isPaused && !this.#isClosed && this.#waiting === undefined && this.leader !== undefined
  }

  /** How long it has not been fetched because something of it waits, or its owner paused it. */
  get idleMs(): number {
    return performance.now() - this.#idleSince
  }

  seek(offset: bigint): void {
    this.#position = offset
    this.#invalidate()
  }

  pause(): void {
    this.#isPaused = true
    this.#idleSince = performance.now()
    this.#invalidate()
  }

  resume(): void {
    this.#isPaused = false
  }

  close(): void {
    this.#isClosed = true
    this.#invalidate()
  }

  describe(log: LogOffsets): void {
    this.#log = log
    this.#describedAt = performance.now()
  }

  /** Takes what was fetched from `fetchOffset`. */
  accept(batch: WaitingBatch): void {
    this.#waiting = batch
    this.#fetchOffset = batch.nextOffset
    this.#idleSince = performance.now()
  }

  /** Hands out the batch that waits; the position is behind it from now on. */
  take(): WaitingBatch | undefined {
    const batch = this.#waiting
    if (batch === undefined) return undefined
    this.#waiting = undefined
    this.#position = batch.nextOffset
    return batch
  }

  /** Takes back what is behind the part of a batch that was delivered. */
  putBack(rest: WaitingBatch): void {
    this.#waiting = rest
    this.#position = rest.fetchedOffset
  }

  /** A fetch or a look-up went wrong: the leader is looked up again, the first time at once. */
  fail(): void {
    this.leader = undefined
    this.#failures += 1
    const now = performance.now()
    if (this.#failures === 1) this.#failingSince = now
    this.#retryAt = this.#failures === 1 ? now : now + nextDelayMs(retry, this.#failures - 1)
  }

  succeed(): void {
    this.#failures = 0
    this.#retryAt = 0
  }

  get failures(): number {
    return this.#failures
  }

  get failingMs(): number {
    return this.#failures === 0 ? 0 : performance.now() - this.#failingSince
  }

  get retryAt(): number {
    return this.#retryAt
  }

  #invalidate(): void {
    this.#version += 1
    this.#waiting = undefined
    this.#fetchOffset = this.#position
  }
}
