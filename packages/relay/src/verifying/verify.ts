import { connectKafka } from '@oncebox/kafka'
import { isOwnCluster, provenPositions, readPositions } from '../adopting/known-positions.js'
import { readOutboxState } from '../adopting/outbox-state.js'
import { beginComparison } from '../comparing/compare-snapshot.js'
import { Comparison, type ReorderedPair } from '../comparing/comparison.js'
import type { DoubledEvent } from '../comparing/match-events.js'
import { tally, type ToldEvent, type TopicFindings } from '../comparing/findings.js'
import { connectClient } from '../database-connections.js'
import { checkServer } from '../opening/database-state.js'
import { resolveOptions, type RelayOptions } from '../options.js'

export interface VerifyOptions {
  /** All topics of the outbox unless given. */
  readonly topics?: readonly string[]
  /** Only events that occurred since then. */
  readonly since?: Date
  /** How long open transactions on the topics are waited for. Default 60,000. */
  readonly decidedWithinMs?: number
  /** Told what is going on, a sentence each. */
  readonly onProgress?: (sentence: string) => void
  readonly signal?: AbortSignal
}

export interface VerifyReport {
  /** Nothing is lost, doubled or out of order, as far as the outbox still has the events. */
  readonly ok: boolean
  readonly topics: readonly TopicFindings[]
  /** Events that were published, and are not in their topic for certain. */
  readonly lost: { readonly count: number; readonly events: readonly ToldEvent[] }
  readonly doubled: { readonly count: number; readonly events: readonly DoubledEvent[] }
  /** Events of a key that are the wrong way round for certain; `unjudged` of the candidates were too many to look at. */
  readonly reordered: {
    readonly count: number
    readonly unjudged: number
    readonly pairs: readonly ReorderedPair[]
  }
  /** Committed, and not published yet. */
  readonly waiting: number
  /** Records of this outbox's whose rows are not there: rotation has emptied their slot, or the database has lost them. */
  readonly withoutRow: number
}

const examplesMax = 1_000
const defaultDecidedWithinMs = 60_000

/**
 * Compares the outbox with its topics, event by event, while relays run: what is lost, doubled, or out of order per
 * key. Reads only. It can judge what the outbox still has; retention of its slots bounds how far back that is.
 *
 * @throws OutboxError KAFKA_PARTITION_UNDECIDED, RELAY_STANDBY_REFUSED, and what both services throw
 */
export async function verify(relayOptions: RelayOptions, options: VerifyOptions = {}): Promise<VerifyReport> {
  const resolved = resolveOptions(relayOptions)
  const signal = options.signal ?? new AbortController().signal
  const connect = async (): ReturnType<typeof connectClient> =>
    await connectClient(resolved.db, `oncebox-relay ${resolved.name} verify`)
  const client = await connect()
  try {
    await checkServer(client)
    await using kafka = await connectKafka(resolved.kafka, { signal })
    const state = await readOutboxState(client, resolved.name)
    // Before the topics are read to their end: what a position covers must be found there.
    const positions = await readPositions({ kafka, resolved, signal }, state)
    const at = await beginComparison(client)
    await using comparison = await Comparison.make({
      client,
      at,
      kafka,
      decidedWithinMs: options.decidedWithinMs ?? defaultDecidedWithinMs,
      scope: {
        ...(options.topics !== undefined && { topics: options.topics }),
        ...(options.since !== undefined && { sinceMs: options.since.getTime() }),
      },
      isOwnCluster: isOwnCluster(state, positions, kafka.clusterId),
      positions: await provenPositions(client, positions),
      connectLate: connect,
      onProgress: options.onProgress ?? (() => undefined),
      signal,
    })
    return await judge(comparison)
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function judge(comparison: Comparison): Promise<VerifyReport> {
  const lost: ToldEvent[] = []
  let lostCount = 0
  const { topics, absent } = await tally(comparison, (event) => {
    if (event.why === 'lost-by-kafka' && ++lostCount <= examplesMax) lost.push(event)
  })
  await using _ = absent
  const { pairs, unjudged } = await comparison.reordered()
  const doubledCount = comparison.counts.doubled
  return {
    ok: lostCount === 0 && doubledCount === 0 && pairs.length === 0,
    topics,
    lost: { count: lostCount, events: lost },
    doubled: { count: doubledCount, events: comparison.doubled.slice(0, examplesMax) },
    reordered: { count: pairs.length, unjudged, pairs: pairs.slice(0, examplesMax) },
    waiting: absent.count - lostCount,
    withoutRow: comparison.strayCount,
  }
}
