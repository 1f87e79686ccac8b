import type { Cursor } from '../reading/window-reader.js'

/** What a shard is doing at the moment. Each step has a bound of its own; one that outlasts it is stuck. */
export type ShardStep = 'opening' | 'reading' | 'publishing' | 'waiting' | 'backing-off'

/**
 * What one shard is doing at the moment, kept by those who do it and read by metrics, readiness and logs, which only
 * look. All times are of `performance.now()`. What it is in the eyes of others, and why, is its ShardStatus.
 */
export class ShardActivity {
  readonly shard: number
  readonly generation: number
  #epoch: number | undefined
  #step: ShardStep = 'opening'
  #stepSinceMs = performance.now()
  #topics: readonly string[] = []
  /** Batches that are on their way: two at most. */
  #inFlight = 0
  #cursor: Cursor | undefined
  #condition = ''
  readonly #takenMs = performance.now()
  #progressMs: number | undefined
  #publishedMs: number | undefined

  constructor(shard: number, generation: number) {
    this.shard = shard
    this.generation = generation
  }

  /** Undefined until this process has claimed the shard. */
  get epoch(): number | undefined {
    return this.#epoch
  }

  get step(): ShardStep {
    return this.#step
  }

  get stepSinceMs(): number {
    return this.#stepSinceMs
  }

  /** The topics of the batch that is on its way, while the step is `publishing`. */
  get topics(): readonly string[] {
    return this.#topics
  }

  /** Where reading stands: everything before it is published, or on its way. Undefined until the shard is opened. */
  get cursor(): Cursor | undefined {
    return this.#cursor
  }

  /** Which rows of outbox.events are the shard's own, as SQL; empty for all, and until the shard is opened. */
  get condition(): string {
    return this.#condition
  }

  /** When a batch was last committed or a poll last found nothing; before the first time, when the shard was taken. */
  get progressMs(): number {
    return this.#progressMs ?? this.#takenMs
  }

  /** When a batch was last committed. */
  get publishedMs(): number | undefined {
    return this.#publishedMs
  }

  claimed(epoch: number): void {
    this.#epoch = epoch
  }

  opened(condition: string): void {
    this.#condition = condition
  }

  opening(): void {
    this.#cursor = undefined
    this.#inFlight = 0
    this.#enter('opening')
  }

  reading(cursor: Cursor): void {
    this.#cursor = cursor
    // A page that is read ahead is not what a stuck batch waits for.
    if (this.#inFlight === 0) this.#enter('reading')
  }

  publishing(topics: readonly string[]): void {
    this.#topics = topics
    if (this.#inFlight++ === 0) this.#enter('publishing')
  }

  published(): void {
    this.#publishedMs = this.#progressed()
    this.#inFlight--
    this.#enter(this.#inFlight === 0 ? 'waiting' : 'publishing')
  }

  /** Batches on their way were given up; reading starts again at the last committed one. */
  wentBack(): void {
    this.#inFlight = 0
  }

  idle(): void {
    this.#progressed()
    this.#enter('waiting')
  }

  backingOff(): void {
    this.#enter('backing-off')
  }

  #enter(step: ShardStep): void {
    this.#step = step
    this.#stepSinceMs = performance.now()
  }

  #progressed(): number {
    return (this.#progressMs = performance.now())
  }
}
