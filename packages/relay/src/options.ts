import type { ClientConfig } from 'pg'
import { OutboxError } from '@oncebox/core'
import { codecFor, type Compression, type KafkaOptions } from '@oncebox/kafka'
import {
  poisonChoices,
  type PoisonChoice,
  type PoisonOptions,
  type ResolvedPoisonOptions,
} from './dead-letters/poison.js'

/** What a relay needs to know. Everything but `name`, `db` and `kafka` has a default that most services keep. */
export interface RelayOptions {
  /** Identifies the relay in Kafka and in the database: its transactional ids and its progress topic are named after it. Never change it. */
  readonly name: string
  /** The database that holds the outbox, the primary. As in `pg`: connectionString, or host, port, user, ssl and so on. */
  readonly db: ClientConfig
  readonly kafka: KafkaOptions
  readonly batch?: {
    /** Events of one Kafka transaction, at most. Default 5,000; 1 to 50,000. */
    readonly eventsMax?: number
    /** Payload bytes of one Kafka transaction, about. Default 4,000,000; 1,000 to 64,000,000. A larger single event passes alone. */
    readonly bytesMax?: number
    /**
     * Whether the events of one database transaction stay in one Kafka transaction, within a shard: for readers of committed
     * records all of them are there, or none is. Batches end where a transaction does, so the bounds above may be passed; a
     * transaction of more than 50,000 events or 64,000,000 bytes of one shard halts it. Default false.
     */
    readonly keepTransactionsWhole?: boolean
  }
  /**
   * How record batches are compressed: 'none', 'gzip', 'snappy', 'lz4', 'zstd', or `{ type, level }` with gzip (1 to 9) and
   * zstd (1 to 22). Default 'none'. snappy and lz4 need a package of their own, zstd on Node before 22.15 too.
   */
  readonly compression?: Compression
  /** Always 'all': a transaction needs it. Anything else is refused. */
  readonly acks?: 'all'
  readonly poll?: {
    /** First wait after nothing was found. Default 1; 0 to 1,000. */
    readonly idleMsMin?: number
    /** Longest wait while nothing is found. Default 50; 1 to 60,000. */
    readonly idleMsMax?: number
    /**
     * Whether to LISTEN for the commits of outboxes with `notify`, so that a long `idleMsMax` delays nothing. Polling goes on:
     * a notification is a hint. Default false; does not work through a pooler in transaction mode.
     */
    readonly listen?: boolean
  }
  /** Where the very first start begins: with every event in the outbox, or with those that commit from now on. Default 'earliest'. */
  readonly startAt?: 'earliest' | 'now'
  readonly progress?: {
    /** Compacted topic for positions. Default `<name>.progress`. */
    readonly topic?: string
    /** Used when the topic is created. Default: the broker's. */
    readonly replicationFactor?: number
  }
  /** What is done with an event that its topic cannot take, by topic. Default: its key is parked, and the rest flow on. */
  readonly poison?: PoisonOptions
  /** Kafka aborts a transaction that a dead relay left open after this. Default 30,000; 1,000 to 900,000. */
  readonly transactionTimeoutMs?: number
  /**
   * How long the other processes of this relay wait for a sign of life before they take its shards over. Default
   * 3,000; 300 to 600,000.
   */
  readonly leaseMs?: number
  /**
   * How long a shard may go without progress (a batch committed, or nothing found to publish) before `/readyz` fails.
   * Default 10,000; 500 to 600,000.
   */
  readonly readyWithinMs?: number
  /** How space comes back: events are kept for a while after they were published, then a slot is emptied as a whole. */
  readonly rotation?: {
    /**
     * How long events stay in the outbox, at least, after their slot was left: for replay, and to publish from again
     * should Kafka lose them. They go after at most one and a half times that. 0: as soon as possible. Default
     * 14,400,000 (4 hours); 0 to 2,592,000,000 (30 days).
     */
    readonly retentionMs?: number
    /** Writers stay in a slot for half of retentionMs, and for so long or until it has slotBytes. Default 60,000; 100 to 86,400,000. */
    readonly slotMs?: number
    /** Default 67,108,864; 8,192 to 2^40. */
    readonly slotBytes?: number
    /** How often it is looked at. Default 5,000; 10 to 3,600,000. */
    readonly intervalMs?: number
  }
  /** How long start() keeps trying before it gives up with the last error. Default 60,000. */
  readonly startTimeoutMs?: number
  /** `/metrics`, `/readyz` and `/healthz`. Default: off as a library, 127.0.0.1:9464 as a daemon. Port 0 takes a free one. */
  readonly http?: { readonly host?: string; readonly port: number } | false
  /** Default: pino on standard output at `ONCEBOX_LOG_LEVEL` (info). */
  readonly logger?: RelayLogger
}

/** The part of pino that a relay uses. Never receives payloads or credentials. */
export interface RelayLogger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Options after checks and defaults. */
export interface ResolvedRelayOptions {
  readonly name: string
  readonly db: ClientConfig
  readonly kafka: KafkaOptions
  readonly eventsMax: number
  readonly bytesMax: number
  readonly keepTransactionsWhole: boolean
  readonly compression: Compression
  readonly idleMsMin: number
  readonly idleMsMax: number
  readonly listen: boolean
  readonly startAt: 'earliest' | 'now'
  readonly progressTopic: string
  readonly replicationFactor: number | undefined
  readonly poison: ResolvedPoisonOptions
  readonly transactionTimeoutMs: number
  readonly leaseMs: number
  readonly readyWithinMs: number
  readonly startTimeoutMs: number
  readonly rotation: ResolvedRotationOptions
  readonly http: { readonly host: string; readonly port: number } | undefined
}

interface ResolvedRotationOptions {
  readonly retentionMs: number
  readonly slotMs: number
  readonly slotBytes: number
  readonly intervalMs: number
}

const nameForm = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/

/** @throws OutboxError RELAY_OPTIONS_INVALID, naming the option; KAFKA_CODEC_MISSING */
export function resolveOptions(options: RelayOptions): ResolvedRelayOptions {
  if (typeof options.name !== 'string' || !nameForm.test(options.name))
    throw invalid('name', options.name, '1 to 100 characters of a-z A-Z 0-9 . _ -')
  if (typeof options.db !== 'object' || options.db === null)
    throw invalid('db', options.db, 'an object such as { connectionString }')
  if (!Array.isArray(options.kafka?.brokers) || options.kafka.brokers.length === 0)
    throw invalid('kafka.brokers', undefined, 'a list of host:port')
  const startAt = options.startAt ?? 'earliest'
  if (startAt !== 'earliest' && startAt !== 'now') throw invalid('startAt', startAt, "'earliest' or 'now'")
  refuseOtherAcks(options.acks)
  const idleMsMin = whole('poll.idleMsMin', options.poll?.idleMsMin ?? 1, 0, 1_000)
  const resolved: ResolvedRelayOptions = {
    name: options.name,
    db: options.db,
    kafka: { clientId: `oncebox-relay-${options.name}`, ...options.kafka },
    eventsMax: whole('batch.eventsMax', options.batch?.eventsMax ?? 5_000, 1, 50_000),
    bytesMax: whole('batch.bytesMax', options.batch?.bytesMax ?? 4_000_000, 1_000, 64_000_000),
    keepTransactionsWhole: flag('batch.keepTransactionsWhole', options.batch?.keepTransactionsWhole ?? false),
    compression: usableCompression(options.compression ?? 'none'),
    idleMsMin,
    idleMsMax: whole(
      'poll.idleMsMax',
      options.poll?.idleMsMax ?? Math.max(50, idleMsMin),
      Math.max(1, idleMsMin),
      60_000,
    ),
    listen: flag('poll.listen', options.poll?.listen ?? false),
    startAt,
    progressTopic: options.progress?.topic ?? `${options.name}.progress`,
    replicationFactor: options.progress?.replicationFactor,
    poison: resolvePoison(options.poison),
    transactionTimeoutMs: whole(
      'transactionTimeoutMs',
      options.transactionTimeoutMs ?? 30_000,
      1_000,
      900_000,
    ),
    leaseMs: whole('leaseMs', options.leaseMs ?? 3_000, 300, 600_000),
    readyWithinMs: whole('readyWithinMs', options.readyWithinMs ?? 10_000, 500, 600_000),
    startTimeoutMs: whole('startTimeoutMs', options.startTimeoutMs ?? 60_000, 1, 86_400_000),
    rotation: resolveRotation(options.rotation),
    http: options.http
      ? { host: options.http.host ?? '127.0.0.1', port: whole('http.port', options.http.port, 0, 65_535) }
      : undefined,
  }
  return Object.freeze(resolved)
}

function resolveRotation({
  retentionMs = 14_400_000,
  slotMs = 60_000,
  slotBytes = 67_108_864,
  intervalMs = 5_000,
}: NonNullable<RelayOptions['rotation']> = {}): ResolvedRotationOptions {
  return {
    retentionMs: whole('rotation.retentionMs', retentionMs, 0, 2_592_000_000),
    slotMs: whole('rotation.slotMs', slotMs, 100, 86_400_000),
    slotBytes: whole('rotation.slotBytes', slotBytes, 8_192, 2 ** 40),
    intervalMs: whole('rotation.intervalMs', intervalMs, 10, 3_600_000),
  }
}

/** Checks and returns the options of a relay: the default export of a file for `oncebox relay --config FILE`. */
export function defineRelay(options: RelayOptions): RelayOptions {
  resolveOptions(options)
  return Object.freeze({ ...options })
}

// Options come from JavaScript files, too, and people bring acks with them from other producers.
function refuseOtherAcks(acks: unknown): void {
  if (acks !== undefined && acks !== 'all' && acks !== -1)
    throw invalid(
      'acks',
      acks,
      "'all': a Kafka transaction is committed only over what all replicas in sync have",
    )
}

function resolvePoison({
  default: otherwise = 'park-key',
  topics = {},
  parkedKeysMax = 1_000_000,
}: PoisonOptions = {}): ResolvedPoisonOptions {
  return {
    default: choice('poison.default', otherwise),
    topics: new Map(
      Object.entries(topics).map(([topic, chosen]) => [topic, choice(`poison.topics.${topic}`, chosen)]),
    ),
    parkedKeysMax: whole('poison.parkedKeysMax', parkedKeysMax, 1, 10_000_000),
  }
}

function choice(name: string, chosen: PoisonChoice): PoisonChoice {
  if (!poisonChoices.includes(chosen)) throw invalid(name, chosen, "'park-key', 'skip' or 'stop'")
  return chosen
}

/** Loads what it needs, so that a relay that lacks it does not start rather than stop at its first batch. */
function usableCompression(compression: Compression): Compression {
  try {
    codecFor(compression)
  } catch (cause) {
    if (!OutboxError.is(cause, 'KAFKA_OPTIONS_INVALID')) throw cause
    throw new OutboxError('RELAY_OPTIONS_INVALID', cause.message, { cause })
  }
  return compression
}

function whole(name: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max)
    throw invalid(name, value, `a whole number from ${min} to ${max}`)
  return value
}

function flag(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalid(name, value, 'true or false')
  return value
}

const invalid = (name: string, value: unknown, wanted: string): OutboxError =>
  new OutboxError(
    'RELAY_OPTIONS_INVALID',
    `${name}${value === undefined ? '' : ` is ${JSON.stringify(value)}`}: it must be ${wanted}`,
  )
