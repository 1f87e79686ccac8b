import { randomInt } from 'node:crypto'
import type { Client } from 'pg'
import { channels, delay, faultPoint } from '@oncebox/core'
import { connectClient } from '../database-connections.js'
import type { RelayLogger, ResolvedRelayOptions } from '../options.js'
import { rotate, type Relation, type Rotated, type RotationStep } from './rotate.js'

/** What metrics learn of the rotation. */
export interface RotationObserver {
  emptied(relation: Relation): void
  /** For how long a slot has been due; 0 when none is. */
  held(relation: Relation, heldMs: number): void
}

export interface RotatorParts {
  readonly options: ResolvedRelayOptions
  /** Shards that this process publishes; none: it stands by, and does not rotate either. */
  readonly shards: () => readonly number[]
  /** Asks shards of this process to confirm what they have published. */
  readonly confirm: (shards: readonly number[]) => void
  readonly observer: RotationObserver
  readonly log: RelayLogger
}

// A slot is locked by each reader for as long as it reads, and by the relay's own polls. It is tried again soon, a
// bounded number of times, rather than waited for: whoever waits for a lock like this one makes everybody wait behind it.
const triesMax = 40
const betweenTriesMs = { min: 2, max: 40 }
const tellHeldEveryMs = 600_000
const tellHeldAfterMs = 60_000
const neverMs = 10 * 365 * 86_400_000
const hourMs = 3_600_000

/**
 * Empties slots that nobody needs any more: the rotation of a relay process. Every process with a shard does it; what is
 * safe is decided by outbox.rotate() in the database, and two at once do not get in each other's way.
 */
export class Rotator {
  readonly #parts: RotatorParts
  readonly #heldSinceMs = new Map<Relation, number>()
  readonly #toldMs = new Map<Relation, number>()

  constructor(parts: RotatorParts) {
    this.#parts = parts
  }

  /** Resolves when the signal is aborted. A failure is told, and tried again at the next turn. */
  async run(signal: AbortSignal): Promise<void> {
    const { options, shards, log } = this.#parts
    let client: Client | undefined
    try {
      while (await isStillGoing(options.rotation.intervalMs, signal)) {
        if (shards().length === 0) continue
        try {
          client ??= await connectClient(options.db, `oncebox-relay ${options.name} rotation`)
          for (const step of stepsOf(options)) await this.#rotate(client, step, signal)
        } catch (error) {
          log.warn({ err: error }, 'rotation failed: tried again later')
          await client?.end().catch(() => undefined)
          client = undefined
        }
      }
    } finally {
      await client?.end().catch(() => undefined)
    }
  }

  async #rotate(client: Client, step: RotationStep, signal: AbortSignal): Promise<void> {
    const { shards, confirm } = this.#parts
    let rotated = await this.#step(client, step)
    for (let tries = 1; isWorthAnotherTry(rotated) && tries < triesMax && !signal.aborted; tries++) {
      await delay(randomInt(betweenTriesMs.min, betweenTriesMs.max), signal).catch(() => undefined)
      rotated = await this.#step(client, step)
    }
    if (rotated === undefined) return
    const own = new Set(shards())
    const asked = rotated.heldBy.filter((shard) => own.has(shard))
    if (asked.length > 0) confirm(asked)
    this.#tellHeld(step.relation, rotated)
  }

  async #step(client: Client, step: RotationStep): Promise<Rotated | undefined> {
    const { options, observer, log } = this.#parts
    const { relation } = step
    const rotated = await rotate(client, step)
    if (rotated === undefined) return undefined
    const { advanced, emptied } = rotated
    if (advanced === null && emptied === null) return rotated
    if (advanced !== null) await faultPoint('relay.rotation.advanced')
    if (emptied !== null) {
      await faultPoint('relay.rotation.emptied')
      observer.emptied(relation)
    }
    channels.relayRotated.publish({ relay: options.name, relation, advanced, emptied })
    log.info({ relation, advanced, emptied }, 'rotated')
    return rotated
  }

  #tellHeld(relation: Relation, { due, heldBy, blockers }: Rotated): void {
    const { options, observer, log } = this.#parts
    const nowMs = performance.now()
    if (due.length === 0) {
      this.#heldSinceMs.delete(relation)
      return observer.held(relation, 0)
    }
    const sinceMs = this.#heldSinceMs.get(relation) ?? nowMs
    this.#heldSinceMs.set(relation, sinceMs)
    const heldMs = nowMs - sinceMs
    observer.held(relation, heldMs)
    channels.relayRotationHeld.publish({ relay: options.name, relation, due, heldBy, blockers, heldMs })
    if (heldMs < tellHeldAfterMs || nowMs - (this.#toldMs.get(relation) ?? -Infinity) < tellHeldEveryMs)
      return
    this.#toldMs.set(relation, nowMs)
    log.warn(
      { relation, due, heldBy, blockers, heldMs: Math.round(heldMs) },
      'a slot should be emptied and cannot be: the outbox grows',
    )
  }
}

/** A slot more, or a lock that was not to be had. */
const isWorthAnotherTry = (rotated: Rotated | undefined): boolean =>
  rotated !== undefined &&
  ((rotated.emptied !== null && rotated.due.length > 0) || rotated.blockers.length > 0)

// Window records are small and serve no replay: by size alone, so that an idle outbox is left alone. Heartbeats count
// for less than a lease, which is at most ten minutes.
const stepsOf = ({ rotation }: ResolvedRelayOptions): readonly RotationStep[] => [
  { relation: 'events', ...rotation },
  { relation: 'windows', retentionMs: 0, slotMs: neverMs, slotBytes: Math.ceil(rotation.slotBytes / 16) },
  {
    relation: 'heartbeats',
    retentionMs: hourMs,
    slotMs: neverMs,
    slotBytes: Math.ceil(rotation.slotBytes / 64),
  },
]

async function isStillGoing(waitMs: number, signal: AbortSignal): Promise<boolean> {
  await delay(waitMs, signal).catch(() => undefined)
  return !signal.aborted
}
