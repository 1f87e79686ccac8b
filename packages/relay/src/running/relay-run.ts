import pg, { type Client } from 'pg'
import { channels, delay, LinkedSignal, nextDelayMs, OutboxError } from '@oncebox/core'
import { notifyChannel } from '@oncebox/outbox'
import { connectClient } from '../database-connections.js'
import { checkServer } from '../opening/database-state.js'
import { adopting } from '../opening/open-shard.js'
import type { RelayMetrics } from '../observing/relay-metrics.js'
import type { RelayLogger, ResolvedRelayOptions } from '../options.js'
import type { OpenReader } from '../publishing/publish-shard.js'
import { listen } from '../reading/listen.js'
import { WakeSignal } from '../reading/wake-signal.js'
import { closeGeneration } from '../resharding/close-generation.js'
import { Rotator } from '../rotating/rotator.js'
import { Membership, type Sharing } from '../sharing/membership.js'
import { planShare } from '../sharing/share-shards.js'
import { ShardRunner, type RunnerEnd } from './shard-runner.js'
import type { ShardActivity } from './shard-activity.js'
import type { ShardStatus } from './shard-status.js'

export interface RelayRunParts {
  readonly options: ResolvedRelayOptions
  /** Names this run in the database: one run of a relay in one process, and nobody else. */
  readonly holder: string
  readonly openReader: OpenReader
  readonly metrics: RelayMetrics
  readonly log: RelayLogger
}

/** A shard as observers see it. */
export interface ObservedShard {
  readonly status: ShardStatus
  readonly activity: ShardActivity
}

// A lease outlives two lost heartbeats.
const beatsPerLease = 3
const reconnectBackoff = { minMs: 50, maxMs: 5_000 }

/**
 * One life of a relay process, from start to stop: it says that it is alive, publishes its share of the shards, gives
 * back what others should have, and takes over what nobody holds.
 */
export class RelayRun {
  readonly #parts: RelayRunParts
  readonly #runners = new Map<number, ShardRunner>()
  readonly #tasks = new Set<Promise<void>>()
  /** Fired by notifications of the database. */
  readonly #wakeShards = new WakeSignal()
  /** The shards of the map before are being closed by this process. */
  #closing = false
  /** The generation whose adoption is waited for: said once. */
  #adoption: number | undefined
  readonly #stopping = new AbortController()
  /** Resolves when the share of this process is opened for the first time; rejects when the run ends before. */
  readonly settled: Promise<void>
  #tellSettled: () => void = () => undefined
  #tellFailed: (error: unknown) => void = () => undefined
  #isSettled = false
  #wake: () => void = () => undefined
  #heartbeatMs: number | undefined
  #failure: { readonly error: unknown } | undefined
  #lastError: unknown

  constructor(parts: RelayRunParts) {
    this.#parts = parts
    this.settled = new Promise((resolve, reject) => {
      this.#tellSettled = resolve
      this.#tellFailed = reject
    })
    this.settled.catch(() => undefined)
  }

  /** The shards that are published here, ascending. */
  get shards(): readonly number[] {
    return [...this.#runners.keys()].sort((a, b) => a - b)
  }

  /** What each of them does, in the same order. */
  get status(): readonly ShardStatus[] {
    return [...this.#runners.values()].map(({ status }) => status).sort((a, b) => a.shard - b.shard)
  }

  /** When the database last took a heartbeat, by `performance.now()`; undefined before the first. */
  get heartbeatMs(): number | undefined {
    return this.#heartbeatMs
  }

  /** What observers look at; they change nothing. */
  get observed(): readonly ObservedShard[] {
    return [...this.#runners.values()].map(({ status, activity }) => ({ status, activity }))
  }

  /** Ends the run; what is in hand is finished first. */
  stop(reason: unknown): void {
    this.#stopping.abort(reason)
    this.#wake()
  }

  /** Resolves when the run was stopped; rejects when it cannot go on. */
  async start(): Promise<void> {
    const { signal } = this.#stopping
    const ending = new AbortController()
    this.#inBackground(this.#rotate(AbortSignal.any([signal, ending.signal])))
    try {
      for (let failures = 0; !signal.aborted && this.#failure === undefined;) {
        try {
          await this.#belong(signal, () => (failures = 0))
        } catch (error) {
          this.#lastError = error
          if (signal.aborted) break
          if (isFinal(error) || (!this.#isSettled && isRefusal(error))) throw error
          await this.#backOff(error, ++failures, signal)
        }
      }
      if (this.#failure !== undefined) throw this.#failure.error
    } catch (error) {
      this.#fail(error)
      throw error
    } finally {
      ending.abort()
      await this.#stopRunners([...this.#runners.values()])
      await Promise.all(this.#tasks)
      // Stopped before anything was opened: what stood in the way says more than that it took too long.
      this.#tellFailed(this.#failure?.error ?? this.#lastError ?? signal.reason)
    }
  }

  async #rotate(signal: AbortSignal): Promise<void> {
    const { options, metrics, log } = this.#parts
    const rotator = new Rotator({
      options,
      shards: () => this.shards,
      confirm: (shards) => {
        for (const shard of shards) this.#runners.get(shard)?.confirm()
      },
      observer: metrics.ofRotation(),
      log,
    })
    await rotator.run(signal)
  }

  /** Beats and shares over one connection, until it is lost or the run is stopped. */
  async #belong(signal: AbortSignal, worked: () => void): Promise<void> {
    const { options, holder } = this.#parts
    const client: Client = await connectClient(options.db, `oncebox-relay ${options.name} member`)
    try {
      await checkServer(client)
      const membership = new Membership(client, {
        relay: options.name,
        holder,
        leaseMs: options.leaseMs,
      })
      if (options.listen) this.#inBackground(this.#listen(client))
      while (!signal.aborted && this.#failure === undefined) {
        const sharing = await membership.beat()
        this.#heartbeatMs = performance.now()
        worked()
        await this.#share(sharing, membership)
        await this.#untilNextBeat(signal)
      }
      await this.#leave(membership)
    } finally {
      await client.end().catch(() => undefined)
    }
  }

  /** Polling goes on whatever comes of it; a connection that is lost is told by the heartbeat. */
  async #listen(client: Client): Promise<void> {
    const { options, log } = this.#parts
    const { name: relay, db } = options
    try {
      await listen({ client, db, relay, wake: this.#wakeShards, signal: this.#stopping.signal })
      channels.relayListening.publish({ relay, listening: true })
      log.info({ channel: notifyChannel }, 'commits are heard by LISTEN')
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      channels.relayListening.publish({ relay, listening: false, error })
      log.warn({ err: error, ...remedyOf(error) }, 'commits are not heard by LISTEN: they are polled for')
    }
  }

  async #share(sharing: Sharing, membership: Membership): Promise<void> {
    const { holder } = this.#parts
    const { map } = sharing
    const ended = [...this.#runners.values()].filter(({ generation }) => generation !== map.generation)
    if (ended.length > 0)
      this.#inBackground(
        this.#give(
          ended.map(({ shard }) => shard),
          membership,
        ),
      )
    if (!sharing.begun) return this.#closeOldShards(sharing)
    const { claim, release } = planShare(sharing, holder)
    // Not awaited: opening a shard, or finishing one, may outlast the lease, and heartbeats must go on.
    if (release.length > 0) this.#inBackground(this.#give(release, membership))
    for (const shard of claim) if (!this.#runners.has(shard)) this.#take(shard, sharing)
    if (!this.#isSettled) this.#inBackground(this.#settle())
  }

  /** The shards were cut anew: one of the processes closes the old ones, and the others wait for it. */
  #closeOldShards({ map, members }: Sharing): void {
    const { options, holder, openReader, metrics, log } = this.#parts
    if (map.isAdoption) return this.#awaitAdoption(map.generation)
    if (this.#closing || members[0] !== holder) return
    this.#closing = true
    const generation = map.generation - 1
    log.info({ generation }, 'closing the shards of the old map')
    const closing = closeGeneration({
      options,
      holder,
      generation,
      openReader,
      observer: {
        ...metrics.ofClosing(),
        halted: (error) =>
          log.warn({ err: error, generation, ...remedyOf(error) }, 'an old shard cannot be closed yet'),
      },
      signal: this.#stopping.signal,
    })
      .then(
        () => log.info({ generation: generation + 1 }, 'the shards of the new map begin'),
        (error: unknown) => {
          if (!this.#stopping.signal.aborted)
            log.warn({ err: error, generation }, 'the shards of the old map are not closed yet')
          throw error
        },
      )
      .finally(() => {
        this.#closing = false
        this.#wake()
      })
    this.#inBackground(closing)
  }

  /** `oncebox adopt` decides about what is there, and then begins the shards. */
  #awaitAdoption(generation: number): void {
    this.#lastError = adopting(generation)
    if (this.#adoption === generation) return
    this.#adoption = generation
    this.#parts.log.warn({ err: this.#lastError }, 'waiting for oncebox adopt')
  }

  async #settle(): Promise<void> {
    await Promise.all([...this.#runners.values()].map((runner) => runner.openedOrEnded()))
    if (this.#failure !== undefined || this.#stopping.signal.aborted) return
    this.#isSettled = true
    this.#tellSettled()
  }

  #inBackground(task: Promise<void>): void {
    const tracked = task
      .catch((error: unknown) => {
        // A release that was not written costs the others the rest of the lease.
        this.#lastError = error
      })
      .finally(() => this.#tasks.delete(tracked))
    this.#tasks.add(tracked)
  }

  #take(shard: number, { map, epochs, orphans }: Sharing): void {
    const { options, holder, openReader, metrics, log } = this.#parts
    const runner = new ShardRunner({
      options,
      shard,
      generation: map.generation,
      seenEpoch: epochs.get(shard) ?? 0,
      holder,
      openReader,
      wake: this.#wakeShards,
      observer: metrics.ofShard(shard),
      log,
    })
    this.#runners.set(shard, runner)
    if (orphans.has(shard)) this.#tellTakeover(runner)
    void runner.ended.then((end) => this.#onEnd(runner, end))
  }

  /** Once this process has the shard: another one may have been faster. */
  #tellTakeover(runner: ShardRunner): void {
    const { options, metrics, log } = this.#parts
    const { shard } = runner
    void runner.openedOrEnded().then(() => {
      if (runner.epoch === undefined) return
      channels.relayTakeover.publish({ relay: options.name, shard, epoch: runner.epoch })
      metrics.takenOver(shard)
      log.warn({ shard, epoch: runner.epoch }, 'taken over from a process that gave no sign of life')
    })
  }

  #onEnd(runner: ShardRunner, end: RunnerEnd): void {
    const { options, metrics, log } = this.#parts
    const { shard } = runner
    if (this.#runners.get(shard) === runner) this.#runners.delete(shard)
    this.#lastError = runner.lastError ?? this.#lastError
    metrics.closed(shard)
    if (end.kind === 'lost') {
      channels.relayLost.publish({ relay: options.name, shard, error: end.error })
      metrics.fenced(shard)
      log.warn({ shard, err: end.error }, 'another process has the shard')
    }
    if (end.kind === 'failed') {
      channels.relayFailed.publish({ relay: options.name, shard, error: end.error })
      this.#failure ??= { error: end.error }
      log.error({ shard, err: end.error, ...remedyOf(end.error) }, 'stopped')
    }
    this.#wake()
  }

  /** Finishes what is in hand of these shards, and gives them back. */
  async #give(shards: readonly number[], membership: Membership): Promise<void> {
    const runners = shards.flatMap((shard) => this.#runners.get(shard) ?? [])
    await this.#stopRunners(runners)
    for (const { shard, epoch } of runners) if (epoch !== undefined) await membership.release(shard, epoch)
  }

  async #stopRunners(runners: readonly ShardRunner[]): Promise<void> {
    for (const runner of runners) runner.stop()
    await Promise.all(runners.map(({ ended }) => ended))
  }

  /** In good order, so that others need not wait for the lease to end. */
  async #leave(membership: Membership): Promise<void> {
    const held = [...this.#runners.keys()]
    await this.#give(held, membership)
    await membership.leave()
  }

  async #untilNextBeat(signal: AbortSignal): Promise<void> {
    using wait = new LinkedSignal(signal)
    this.#wake = () => wait.abort(undefined)
    await delay(this.#parts.options.leaseMs / beatsPerLease, wait.signal).catch(() => undefined)
    this.#wake = () => undefined
  }

  async #backOff(error: unknown, failures: number, signal: AbortSignal): Promise<void> {
    const delayMs = nextDelayMs(reconnectBackoff, failures)
    this.#parts.log.warn({ err: error, delayMs: Math.round(delayMs) }, 'no heartbeat: connecting again')
    await delay(delayMs, signal).catch(() => undefined)
  }

  #fail(error: unknown): void {
    if (this.#failure === undefined) {
      const { options, log } = this.#parts
      channels.relayFailed.publish({ relay: options.name, error })
      log.error({ err: error, ...remedyOf(error) }, 'stopped')
    }
    this.#failure ??= { error }
  }
}

const remedyOf = (error: unknown): { remedy?: string } =>
  OutboxError.is(error) ? { remedy: error.remedy } : {}

/** Whether trying again cannot help. */
const isFinal = (error: unknown): boolean =>
  OutboxError.is(error) && !error.retriable && error.code !== 'RELAY_STANDBY_REFUSED'

/** What a server refuses because it was configured so: wrong password, no such database, a missing privilege, a standby. A start says so at once. */
function isRefusal(error: unknown): boolean {
  if (OutboxError.is(error, 'RELAY_STANDBY_REFUSED')) return true
  const sqlState = error instanceof pg.DatabaseError ? (error.code ?? '') : ''
  return /^(28|3D|42)...$/.test(sqlState)
}
