import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import { faultPoint, OutboxError } from '@oncebox/core'
import { connectKafka, type KafkaClient } from '@oncebox/kafka'
import { connectClient } from '../database-connections.js'
import { Comparison } from '../comparing/comparison.js'
import { beginComparison } from '../comparing/compare-snapshot.js'
import { sumOf, tally, type Tally, type ToldEvent, type TopicFindings } from '../comparing/findings.js'
import { keysOutOfOrder, type OutOfOrderKeys } from '../comparing/out-of-order-keys.js'
import { checkServer } from '../opening/database-state.js'
import { noPositionRecord, positionRecord } from '../opening/open-shard.js'
import { resolveOptions, type RelayOptions, type ResolvedRelayOptions } from '../options.js'
import type { Position } from '../position.js'
import { parseSnapshot, type Snapshot } from '../reading/snapshot.js'
import { isOwnCluster, provenPositions, readPositions } from './known-positions.js'
import { fenceOutbox, type FencedOutbox } from './fence-outbox.js'
import { readOutboxState, reasonsToAdopt, type OutboxState } from './outbox-state.js'
import { publishAbsent } from './publish-absent.js'
import { commitAdoption, readBeginnings, recordBegun, recordCompared } from './record-adoption.js'
import { lookForTorn, type EndedTransaction, type TornDecision } from './torn.js'

export interface AdoptOptions {
  /** Compare and say what would be done; nothing is changed, and no relay is disturbed. */
  readonly dryRun?: boolean
  /** Also when the relay could go on by itself: for a topic that was created anew, or that has lost events. */
  readonly anyway?: boolean
  /** Asked before anything is published, when there is something to publish. Default: no, so that nothing is. */
  readonly confirm?: (plan: AdoptionReport) => Promise<boolean>
  /** For an outbox and a Kafka that have nothing in common, such as a new and empty cluster. */
  readonly acceptNothingInCommon?: boolean
  /** How transactions are ended that Kafka left half ended, where nobody can say whether they were committed. */
  readonly torn?: TornDecision
  /** How long open transactions on the topics are waited for. Default 60,000. */
  readonly decidedWithinMs?: number
  /** Told of each event that is absent, or of which nobody can know. */
  readonly onEvent?: (event: ToldEvent) => void
  /** Told what is going on, a sentence each. */
  readonly onProgress?: (sentence: string) => void
  readonly signal?: AbortSignal
}

export interface AdoptionReport {
  /** Why the relay cannot go on by itself. None: there was nothing to adopt. */
  readonly reasons: readonly string[]
  readonly topics: readonly TopicFindings[]
  /** The sum over the topics. */
  readonly events: Omit<TopicFindings, 'topic'>
  /** Keys that have later events in their topic already than one that is, or was, to be published. */
  readonly keysOutOfOrder: OutOfOrderKeys
  /** Transactions that Kafka had left half ended. */
  readonly ended: readonly EndedTransaction[]
  readonly published: number
  /** Rows whose transaction id belonged to another cluster. */
  readonly restamped: number
  /** `nothing-to-do`, `planned` (a dry run), `declined`, `adopted`. */
  readonly outcome: 'nothing-to-do' | 'planned' | 'declined' | 'adopted'
  /** Of the shard map that begins behind the adoption. */
  readonly generation?: number
}

/**
 * Lets an outbox go on after its history and Kafka's have parted: a lossy failover, a restored database, another Kafka,
 * a lost progress topic. Compares both by event id, publishes exactly the events that are certainly absent from their
 * topics, and begins new shards behind the snapshot that was compared, from where relays go on by themselves. What
 * nobody can know is listed and left. Interrupted at any point, it can be run again.
 *
 * @throws OutboxError RELAY_ADOPTION_REFUSED, KAFKA_PARTITION_UNDECIDED, KAFKA_TRANSACTION_TORN, KAFKA_FENCED when a relay
 *   that knows nothing of this database is still running, RELAY_STANDBY_REFUSED, and what both services throw
 */
export async function adopt(relayOptions: RelayOptions, options: AdoptOptions = {}): Promise<AdoptionReport> {
  const resolved = resolveOptions(relayOptions)
  const signal = options.signal ?? new AbortController().signal
  const client = await connectClient(resolved.db, `oncebox-relay ${resolved.name} adopt`)
  try {
    await checkServer(client)
    await using kafka = await connectKafka(resolved.kafka, { signal })
    return await new Adoption({ ...options, resolved, client, kafka, signal }).run()
  } finally {
    await client.end().catch(() => undefined)
  }
}

interface Parts extends AdoptOptions {
  readonly resolved: ResolvedRelayOptions
  readonly client: Client
  readonly kafka: KafkaClient
  readonly signal: AbortSignal
}

/** What the comparison of one snapshot found. */
interface Compared extends Tally {
  readonly at: Snapshot
  readonly keysOutOfOrder: OutOfOrderKeys
}

const defaultDecidedWithinMs = 60_000

class Adoption {
  readonly #parts: Parts
  readonly #incarnation = randomUUID()
  readonly #say: (sentence: string) => void

  constructor(parts: Parts) {
    this.#parts = parts
    this.#say = parts.onProgress ?? (() => undefined)
  }

  async run(): Promise<AdoptionReport> {
    const { client, kafka, resolved, dryRun = false, anyway = false, signal } = this.#parts
    const state = await readOutboxState(client, resolved.name)
    const reasons = [
      ...(await reasonsToAdopt(client, kafka, state, resolved.progressTopic, signal)),
      ...(await lookForTorn(client, kafka, resolved, state.shardsEverMapped, signal)),
    ]
    if (reasons.length === 0 && !anyway) return { ...nothing, reasons, outcome: 'nothing-to-do' }
    for (const reason of reasons) this.#say(reason)
    if (dryRun) return await this.#plan(state, reasons)
    // With the wrong database or the wrong Kafka nothing may be changed, so that is found out first.
    if (!this.#isBoundHere(state)) await this.#plan(state, reasons)
    await using fenced = await fenceOutbox({
      options: resolved,
      client,
      kafka,
      state,
      signal,
      holder: `adopt:${this.#incarnation}`,
      torn: this.#parts.torn,
      onProgress: this.#say,
    })
    // Everything was decided, and then somebody was interrupted.
    if (state.map.isAdoption && !state.isBegun && state.isRecorded) {
      await this.#begin(fenced)
      return {
        ...nothing,
        reasons,
        ended: fenced.ended,
        outcome: 'adopted',
        generation: fenced.map.generation,
      }
    }
    return await this.#adopt(state, fenced, reasons)
  }

  /** Nobody is fenced: what a running relay publishes meanwhile counts as absent or not, as it happens. */
  async #plan(state: OutboxState, reasons: readonly string[]): Promise<AdoptionReport> {
    const { client } = this.#parts
    const at = await beginComparison(client)
    const compared = await this.#compare(state, at, await readPositions(this.#parts, state))
    await compared.absent[Symbol.asyncDispose]()
    await client.query('rollback')
    return { ...this.#report(reasons, compared), outcome: 'planned' }
  }

  async #adopt(
    state: OutboxState,
    fenced: FencedOutbox,
    reasons: readonly string[],
  ): Promise<AdoptionReport> {
    const { client, kafka, resolved, confirm, signal } = this.#parts
    const at = await beginComparison(client)
    await this.#makeDurable(fenced, at)
    const positions = new Map(
      fenced.shards.flatMap(({ shard, position }) => (position ? [[shard, position]] : [])),
    )
    const compared = await this.#compare(state, at, positions)
    await using absent = compared.absent
    const { generation } = fenced.map
    const plan: AdoptionReport = {
      ...this.#report(reasons, compared),
      ended: fenced.ended,
      generation,
      outcome: 'declined',
    }
    await faultPoint('relay.adopt.compared')
    if (absent.count > 0 && (await confirm?.(plan)) !== true) {
      await client.query('rollback')
      return plan
    }
    const [publisher] = fenced.shards
    const published =
      publisher === undefined
        ? 0
        : await publishAbsent({
            options: resolved,
            client,
            kafka,
            absent,
            generation,
            onProgress: this.#say,
            signal,
            session: publisher.session,
          })
    const counts = { ...plan.events, published }
    const restamped = await commitAdoption(client, fenced, { incarnation: this.#incarnation, at, counts })
    await faultPoint('relay.adopt.recorded')
    await this.#begin(fenced)
    return { ...plan, published, restamped, outcome: 'adopted' }
  }

  async #makeDurable({ map: { generation } }: FencedOutbox, at: Snapshot): Promise<void> {
    const { resolved } = this.#parts
    const recorder = await connectClient(resolved.db, `oncebox-relay ${resolved.name} adopt recorder`)
    try {
      await recordCompared(recorder, { generation, incarnation: this.#incarnation, at })
    } finally {
      await recorder.end().catch(() => undefined)
    }
  }

  async #compare(
    state: OutboxState,
    at: Snapshot,
    positions: ReadonlyMap<number, Position>,
  ): Promise<Compared> {
    const { client, kafka, decidedWithinMs = defaultDecidedWithinMs, signal, onEvent } = this.#parts
    await using comparison = await Comparison.make({
      client,
      at,
      kafka,
      decidedWithinMs,
      signal,
      scope: {},
      onProgress: this.#say,
      isOwnCluster: isOwnCluster(state, positions, kafka.clusterId),
      positions: await provenPositions(client, positions),
    })
    const { present, rows } = comparison.counts
    this.#say(`${rows} events in the outbox, ${present} of them in their topics`)
    if (present === 0 && !this.#isBoundHere(state) && this.#parts.acceptNothingInCommon !== true)
      throw nothingInCommon(state, kafka, rows)
    const found = await tally(comparison, onEvent)
    return { ...found, at, keysOutOfOrder: await keysOutOfOrder(client, comparison, found.absent) }
  }

  /** The outbox was published to this Kafka, by this relay. */
  #isBoundHere({ bound }: OutboxState): boolean {
    const { kafka, resolved } = this.#parts
    return bound !== undefined && bound.clusterId === kafka.clusterId && bound.relay === resolved.name
  }

  /** Positions in Kafka, then the row that says so: relays take the shards only when all of that is there. */
  async #begin(fenced: FencedOutbox): Promise<void> {
    const { client, kafka, resolved } = this.#parts
    const { map, progress, shards } = fenced
    const beginnings = await readBeginnings(client, map.generation)
    for (const { shard, session, incarnation, position } of shards) {
      const beginning = beginnings.find((each) => each.shard === shard)
      if (beginning === undefined) {
        if (position !== undefined) await session.publish({ partitions: [noPositionRecord(progress, shard)] })
        continue
      }
      const to = parseSnapshot(beginning.at)
      const begun: Position = {
        batch: (position?.batch ?? 0) + 1,
        incarnation,
        window: beginning.window,
        from: to,
        to,
        lastSeq: 0n,
        complete: true,
        clusterId: kafka.clusterId,
        progressTopicId: progress.topicId,
        shards: map.shards.length,
        events: 0,
        eventsTotal: position?.eventsTotal ?? 0,
      }
      await session.publish({ partitions: [positionRecord(progress, shard, begun)] })
      await faultPoint('relay.adopt.positioned')
    }
    await recordBegun(client, fenced, resolved.name, kafka.clusterId)
    this.#say(`the shards of map ${map.generation} have begun: relays go on by themselves`)
  }

  #report(
    reasons: readonly string[],
    { topics, keysOutOfOrder: keys }: Compared,
  ): Omit<AdoptionReport, 'outcome'> {
    return { ...nothing, reasons, topics, events: sumOf(topics), keysOutOfOrder: keys }
  }
}

const nothing = {
  topics: [],
  events: sumOf([]),
  keysOutOfOrder: { count: 0, keys: [] },
  ended: [],
  published: 0,
  restamped: 0,
} as const

const nothingInCommon = ({ bound }: OutboxState, kafka: KafkaClient, rows: number): OutboxError =>
  new OutboxError(
    'RELAY_ADOPTION_REFUSED',
    `this database and this Kafka have nothing in common: none of ${rows} events is in a topic, and the outbox was published ${bound === undefined ? 'never' : `by relay ${bound.relay} to Kafka cluster ${bound.clusterId}`}, while this is ${kafka.clusterId}`,
    { details: { rows, bound: bound?.clusterId, clusterId: kafka.clusterId } },
  )
