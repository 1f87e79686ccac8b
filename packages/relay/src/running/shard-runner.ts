import { channels, delay, nextDelayMs, OutboxError } from '@oncebox/core'
import { connectKafka, type KafkaClient } from '@oncebox/kafka'
import { bounded, connectDatabase } from '../database-connections.js'
import { openShard } from '../opening/open-shard.js'
import type { RelayLogger, ResolvedRelayOptions } from '../options.js'
import { Demand } from '../publishing/demand.js'
import { publishShard, type OpenReader, type PublishObserver } from '../publishing/publish-shard.js'
import type { WakeSignal } from '../reading/wake-signal.js'
import { Wakeup } from '../reading/wakeup.js'
import { ShardActivity } from './shard-activity.js'
import { StatusBoard, troubleOf, type ShardStatus } from './shard-status.js'

export interface ShardRunnerRequest {
  readonly options: ResolvedRelayOptions
  readonly shard: number
  readonly generation: number
  /** The epoch at which the shard was seen without a live holder. */
  readonly seenEpoch: number
  readonly holder: string
  readonly openReader: OpenReader
  /** Fired when somebody has committed events, as far as anybody tells. */
  readonly wake: WakeSignal
  readonly observer: ShardObserver
  readonly log: RelayLogger
}

/** What metrics learn of a shard. */
export interface ShardObserver extends PublishObserver {
  opened(): void
  reopening(error: unknown): void
}

/** How a shard's run ended: as asked, because somebody else has the shard, or for good. */
export type RunnerEnd =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'lost'; readonly error: OutboxError }
  | { readonly kind: 'failed'; readonly error: unknown }

// The wait for an older incarnation's transaction included, which Kafka ends by its own timeout at the latest.
const openTimeoutMs = 180_000
const reopenBackoff = { minMs: 50, maxMs: 5_000 }

/** Publishes one shard for as long as this process holds it: opens it, and opens it again after any doubt. */
export class ShardRunner {
  readonly shard: number
  readonly generation: number
  readonly activity: ShardActivity
  /** Resolves with the end; never rejects. */
  readonly ended: Promise<RunnerEnd>
  readonly #request: ShardRunnerRequest
  readonly #stopping = new AbortController()
  readonly #demand = new Demand()
  #wakeup: Wakeup | undefined
  readonly #firstOpened: Promise<void>
  #tellOpened: () => void = () => undefined
  #epoch: number
  #claimed = false
  readonly #board: StatusBoard
  #failedAttempts = 0
  /** The open shard waits for a topic, or for an event of its own. */
  #waits = false
  #lastError: unknown
  #unconfirmedReason: string | undefined

  constructor(request: ShardRunnerRequest) {
    this.shard = request.shard
    this.generation = request.generation
    this.activity = new ShardActivity(request.shard, request.generation)
    this.#request = request
    this.#epoch = request.seenEpoch
    this.#board = new StatusBoard(request.shard)
    this.#firstOpened = new Promise((resolve) => (this.#tellOpened = resolve))
    this.ended = this.#run()
  }

  /** The epoch under which this process holds the shard; undefined when it never claimed it. */
  get epoch(): number | undefined {
    return this.#claimed ? this.#epoch : undefined
  }

  /** What it does now, for readiness and metrics. */
  get status(): ShardStatus {
    return this.#board.status
  }

  /** Why it was opened again last; undefined when it never was. */
  get lastError(): unknown {
    return this.#lastError
  }

  /** Resolves when the shard is opened for the first time, or has ended. */
  async openedOrEnded(): Promise<void> {
    await Promise.race([this.#firstOpened, this.ended])
  }

  /** Rotation waits for this shard: soon its window records say what of it is published for good. */
  confirm(): void {
    this.#demand.raise()
    this.#wakeup?.wake()
  }

  /** Finishes what is in hand and ends. */
  stop(): void {
    this.#stopping.abort()
  }

  async #run(): Promise<RunnerEnd> {
    const { signal } = this.#stopping
    using wakeup = new Wakeup(this.#request.options, this.#request.wake)
    this.#wakeup = wakeup
    while (!signal.aborted) {
      try {
        await this.#openAndPublish(wakeup, signal)
      } catch (error) {
        this.#lastError = error
        if (signal.aborted) break
        if (isLoss(error)) return { kind: 'lost', error }
        if (isFinal(error)) return { kind: 'failed', error }
        await this.#backOff(error, signal)
      }
    }
    return { kind: 'stopped' }
  }

  async #openAndPublish(wakeup: Wakeup, signal: AbortSignal): Promise<void> {
    const { options, shard, generation, holder, openReader, observer, log } = this.#request
    this.activity.opening()
    this.#waits = false
    await using database = await connectDatabase(options.db, options.name)
    const kafka: KafkaClient = await connectKafka(options.kafka, { signal })
    try {
      const open = await bounded(
        database.reader,
        openTimeoutMs,
        async () =>
          await openShard({
            options,
            shard,
            generation,
            kafka,
            database,
            holder,
            expectedEpoch: this.#epoch,
            signal,
            onEpoch: (epoch) => {
              this.#epoch = epoch
              this.#claimed = true
              this.activity.claimed(epoch)
            },
          }),
      )
      const { epoch, incarnation, position } = open
      this.activity.opened(open.condition)
      observer.opened()
      channels.relayOpened.publish({ relay: options.name, shard, epoch, incarnation, position })
      log.info(
        { shard, epoch, incarnation, batch: position.batch, eventsTotal: position.eventsTotal },
        'shard opened',
      )
      this.#tellOpened()
      try {
        await publishShard({
          options,
          open,
          kafka,
          database,
          wakeup,
          observer: this.#observer,
          openReader,
          demand: this.#demand,
          signal,
        })
      } finally {
        await open.session.close()
      }
    } finally {
      await kafka.close()
    }
  }

  /** Only work that was done ends a row of failures: opening alone does not, or a refusing topic would be tried without a pause. */
  readonly #observer: PublishObserver = {
    reading: (cursor) => this.activity.reading(cursor),
    publishing: (topics) => this.activity.publishing(topics),
    wentBack: () => this.activity.wentBack(),
    idle: () => {
      this.#progressed()
      this.activity.idle()
      this.#request.observer.idle()
    },
    published: (batch) => {
      this.#progressed()
      this.activity.published()
      this.#request.observer.published(batch)
    },
    halted: (error) => {
      this.#waits = true
      this.#halted(error)
    },
    resumed: () => this.#resumed(),
    setAside: (letters, parkedKeys) => this.#request.observer.setAside(letters, parkedKeys),
    copiesWait: (error) => {
      const { shard, observer, log } = this.#request
      observer.copiesWait(error)
      log.warn(
        { shard, err: error, ...troubleOf(error) },
        'what is to be published again waits for its topic',
      )
    },
    unconfirmed: (error) => this.#tellUnconfirmed(error),
  }

  /** Said once for each reason, however often it is tried again. */
  #halted(error: unknown): void {
    const { options, shard, observer, log } = this.#request
    this.#lastError = error
    this.activity.backingOff()
    observer.halted(error)
    if (!this.#board.enter('halted', error)) return
    channels.relayHalted.publish({ relay: options.name, shard, error })
    log.error({ shard, err: error, ...this.status.why }, 'halted: it goes on by itself')
  }

  #resumed(): void {
    const { options, shard, observer, log } = this.#request
    this.#waits = false
    observer.resumed()
    this.#board.enter('publishing')
    channels.relayResumed.publish({ relay: options.name, shard })
    log.info({ shard }, 'publishing again')
  }

  /** Opening alone ends no trouble, or a shard that is opened in vain again and again would look well in between. */
  #progressed(): void {
    this.#failedAttempts = 0
    // What is published before that for which the shard waits, or copies of dead letters, does not end the wait.
    if (!this.#waits && this.#board.status.state !== 'publishing') this.#board.enter('publishing')
  }

  /** Asked again and again while rotation is due: said once for each reason. */
  #tellUnconfirmed(error: unknown): void {
    const { shard, observer, log } = this.#request
    observer.unconfirmed(error)
    const reason = OutboxError.is(error) ? error.code : String(error)
    if (reason === this.#unconfirmedReason) return
    this.#unconfirmedReason = reason
    log.warn(
      { shard, err: error, ...remedyOf(error) },
      'what was published cannot be confirmed: its rows stay, rotation waits',
    )
  }

  async #backOff(error: unknown, signal: AbortSignal): Promise<void> {
    const { options, shard, observer, log } = this.#request
    const delayMs = nextDelayMs(reopenBackoff, ++this.#failedAttempts)
    channels.relayReopening.publish({ relay: options.name, shard, error })
    observer.reopening(error)
    this.activity.backingOff()
    this.#board.enter('reopening', error)
    log.warn({ shard, err: error, delayMs: Math.round(delayMs) }, 'opening again from the position in Kafka')
    await delay(delayMs, signal).catch(() => undefined)
  }
}

const remedyOf = (error: unknown): { remedy?: string } =>
  OutboxError.is(error) ? { remedy: error.remedy } : {}

/** Somebody else has the shard, or the shards were cut anew: this process has no say about it any more. */
const isLoss = (error: unknown): error is OutboxError =>
  OutboxError.is(error, 'RELAY_FENCED') || OutboxError.is(error, 'RELAY_SHARD_MAP_CHANGED')

/** Whether trying again cannot help. What is not ours (a lost connection, a refused one) may pass. */
function isFinal(error: unknown): boolean {
  return (
    OutboxError.is(error) &&
    !error.retriable &&
    error.code !== 'KAFKA_FENCED' &&
    error.code !== 'KAFKA_SESSION_CLOSED' &&
    error.code !== 'RELAY_STANDBY_REFUSED'
  )
}
