/**
 * Every error oncebox throws on purpose: one class, one table of codes. The code says what happened, `remedy` says
 * the exact next step, `details` carries ids (topic, partition, epoch, attempt), never payloads.
 *
 * The long form of each code is in docs/reference/errors.md; a test keeps both in step.
 */
export interface ErrorCodeRow {
  /** True when the same call can succeed later without anybody changing anything. */
  readonly retriable: boolean
  /** The next step for the person who reads the error. */
  readonly remedy: string
}

const row = (retriable: boolean, remedy: string): ErrorCodeRow => ({ retriable, remedy })

/** The table of codes. A new code gets a row here and an entry in docs/reference/errors.md. */
export const errorCodes = {
  OUTBOX_OPTIONS_INVALID: row(false, 'correct the option that the message names'),
  OUTBOX_NOT_IN_TRANSACTION: row(
    false,
    'emit inside a transaction: outbox.transaction(db, work), or pass a client that has run BEGIN and was awaited',
  ),
  OUTBOX_TRANSACTION_FAILED: row(
    false,
    'roll the transaction back; an earlier statement in it failed, so nothing in it can be committed',
  ),
  OUTBOX_TRANSACTION_ENDED: row(false, 'emit before the transaction is committed or rolled back'),
  OUTBOX_TRANSACTION_TOO_LARGE: row(
    false,
    'split the transaction: its events are held in memory until COMMIT',
  ),
  OUTBOX_EVENT_UNKNOWN: row(false, 'declare the event type in a topic given to createOutbox({ topics })'),
  OUTBOX_EVENT_AMBIGUOUS: row(false, 'rename one of the events: a type belongs to one topic of an outbox'),
  OUTBOX_PAYLOAD_INVALID: row(false, 'correct the payload; details.issues lists what the schema refused'),
  OUTBOX_PAYLOAD_TOO_LARGE: row(
    false,
    'store the large part elsewhere and emit a reference to it, or raise payloadBytesMax of the topic together with its max.message.bytes',
  ),
  OUTBOX_COMMIT_ROLLED_BACK: row(
    false,
    'find the statement that failed: the COMMIT was answered with ROLLBACK and nothing was written',
  ),
  OUTBOX_COMMIT_LOST: row(
    true,
    'none: the connection was lost during COMMIT and nothing was written; run the transaction again',
  ),
  OUTBOX_COMMIT_UNKNOWN: row(
    false,
    'the connection was lost during COMMIT and the database does not know the transaction any more; look for the row before repeating it',
  ),
  OUTBOX_MIGRATION_FAILED: row(
    false,
    'read the cause; migrations run in one transaction each, so nothing of the failed one was kept',
  ),
  OUTBOX_SCHEMA_MISSING: row(false, 'run: oncebox migrate'),
  OUTBOX_SCHEMA_NEWER: row(false, 'upgrade oncebox: the database was migrated by a newer version'),
  OUTBOX_SERVER_UNSUPPORTED: row(false, 'use PostgreSQL 14 or newer'),

  RELAY_OPTIONS_INVALID: row(false, 'correct the option that the message names'),
  RELAY_FENCED: row(
    false,
    'another relay with this name has taken over; stop this one, or give it a name of its own',
  ),
  RELAY_HISTORY_DIVERGED: row(
    false,
    'check first that it is the right database and the right Kafka; then run oncebox adopt --dry-run, which compares both and says what is missing, and oncebox adopt, which publishes just that and lets the relay go on',
  ),
  RELAY_STANDBY_REFUSED: row(
    false,
    'connect the relay to the primary: the snapshot of a standby does not list open transactions, so events would be lost',
  ),
  RELAY_LIFE_ENDED: row(
    true,
    'none: the database server crashed or failed over; the relay forgets what it held in memory and starts again from Kafka',
  ),
  RELAY_EVENT_UNPUBLISHABLE: row(
    true,
    'let the topic accept the event that details.id names, or set the relay option poison of its topic to park-key or skip; until then its shard waits, and it goes on by itself',
  ),
  RELAY_TOPIC_UNAVAILABLE: row(
    true,
    'create the topic, or grant the ACL that the message names; nothing was skipped and publishing goes on by itself',
  ),
  RELAY_PARKED_KEYS_FULL: row(
    true,
    'find out which topic refuses so many keys (oncebox dead-letters list), correct it, and requeue or discard them; until then the shard waits, and it goes on by itself',
  ),
  RELAY_TRANSACTION_TOO_LARGE: row(
    true,
    'restart the relay with batch.keepTransactionsWhole off until the transaction is published, which cuts it into several Kafka transactions; until then the shard waits. Let services emit in smaller transactions',
  ),
  RELAY_DEAD_LETTER_UNKNOWN: row(false, 'run: oncebox dead-letters list --state all'),
  RELAY_DEAD_LETTER_SETTLED: row(false, 'nothing is to do: it was published or discarded'),
  RELAY_DEAD_LETTER_PARKED: row(
    false,
    'requeue or discard the dead letter that the message names: those parked behind it follow in order',
  ),
  RELAY_REPLAY_UNKNOWN: row(false, 'give the number that oncebox replay --yes has printed'),
  RELAY_SHARD_MAP_CHANGED: row(false, 'none: the relay reads the new shard map by itself'),
  RELAY_RESHARDING: row(
    true,
    'wait for oncebox reshard; if it was interrupted, run it again with the same arguments',
  ),
  RELAY_ADOPTING: row(true, 'wait for oncebox adopt; if it was interrupted, run it again'),
  RELAY_ADOPTION_REFUSED: row(
    false,
    'look at what the message names: with the right database and the right Kafka, oncebox adopt finds what both have in common',
  ),
  RELAY_SHARD_MAP_INVALID: row(
    false,
    'restore the row of outbox.shard_map that the message names: it is written by oncebox reshard only',
  ),
  RELAY_RECORD_NEWER: row(
    false,
    'upgrade this process: a newer release has published this shard since. Nothing was published or changed; a process of that release goes on by itself',
  ),
  RELAY_LISTEN_UNSUPPORTED: row(
    false,
    'connect the relay to PostgreSQL itself, or through a pooler in session mode: one in transaction mode keeps no LISTEN. Polling goes on by itself; without poll.listen the relay does not say this',
  ),
  RELAY_REMOVED: row(
    false,
    'publish this outbox with a relay of another name: it goes on behind the removal (docs/operations/rotation.md)',
  ),
  RELAY_UNKNOWN: row(false, 'give the name of the relay that publishes this outbox'),
  RELAY_ORDER_BROKEN: row(false, 'report it: the database returned events out of sequence'),

  KAFKA_OPTIONS_INVALID: row(false, 'correct the option that the message names'),
  KAFKA_UNSUPPORTED: row(false, 'use Kafka 3.9 or newer'),
  KAFKA_FENCED: row(false, 'another process has initialised the same transactional id'),
  KAFKA_TRANSACTION_NOT_COMMITTED: row(
    true,
    'none: nothing of the transaction is visible; re-open the session and publish it again',
  ),
  KAFKA_TRANSACTION_TIMED_OUT: row(
    true,
    'publish smaller transactions, or raise transactionTimeoutMs: the coordinator aborted this one',
  ),
  KAFKA_TRANSACTION_TORN: row(
    false,
    'run oncebox adopt: it ends the transaction on that partition and publishes what is absent; until then no transaction of this relay may touch the partition. Give the topic replication 3',
  ),
  KAFKA_PARTITION_UNSTABLE: row(
    true,
    'end the open transaction that the message names, or wait until its timeout ends it',
  ),
  KAFKA_RECORDS_LOST: row(
    false,
    'find out why acknowledged records are not in the log any more (an unclean leader election, a topic that was created anew): their rows are still in the outbox; see docs/reference/errors.md',
  ),
  KAFKA_GROUP_FENCED: row(
    true,
    'join the group again: another member has these partitions, or will have them',
  ),
  KAFKA_TRANSACTION_UNKNOWN: row(
    true,
    'read the position back from Kafka before anything is sent again: the commit may have happened',
  ),
  KAFKA_RECORD_TOO_LARGE: row(false, 'raise max.message.bytes of the topic, or emit a smaller event'),
  KAFKA_RECORD_REFUSED: row(
    false,
    'correct the event: the broker refuses a record of this batch for its content, a timestamp too far in the future for example',
  ),
  KAFKA_CODEC_MISSING: row(
    false,
    'install the package that the message names, beside oncebox: pnpm add PACKAGE; or choose compression gzip, which needs none',
  ),
  KAFKA_BATCH_TOO_LARGE: row(
    false,
    'if the topic really holds such batches, raise decompressedBytesMax of the Kafka options',
  ),
  KAFKA_TOPIC_UNAVAILABLE: row(true, 'create the topic, or bring its brokers back'),
  KAFKA_TOPIC_RECREATED: row(
    false,
    'decide where to begin in the new topic: it has another id, and offsets of the old one mean nothing in it',
  ),
  KAFKA_OFFSET_OUT_OF_RANGE: row(
    false,
    'decide where to go on: retention or an unclean leader election has removed what was to be read',
  ),
  KAFKA_GROUP_REFUSED: row(
    false,
    'correct the option that the message names, or use another group: this one takes no member like this',
  ),
  KAFKA_TLS_FAILED: row(
    false,
    'the message says what was refused: give ssl.ca the authority of the broker, reach the broker by a name in its certificate, renew an expired certificate, or give ssl.cert and ssl.key a client certificate that the broker trusts',
  ),
  KAFKA_AUTHENTICATION_FAILED: row(
    false,
    'correct the mechanism, user name, password or token in the option sasl: the message says what the broker refused',
  ),
  KAFKA_AUTHORIZATION_FAILED: row(
    false,
    'grant the ACL that the message names (kafka-acls --add); docs/operations/kafka-access.md has the whole set',
  ),
  KAFKA_PROGRESS_TOPIC_INVALID: row(
    false,
    'set cleanup.policy=compact on the progress topic, and nothing else',
  ),
  KAFKA_PROGRESS_BLOCKED: row(
    true,
    "end the open transaction on the progress partition that the message names, or wait for its timeout; if it is the relay's own (KAFKA-20734), run oncebox adopt",
  ),
  KAFKA_PARTITION_UNDECIDED: row(
    true,
    'end the open transaction that the message names, or wait for its timeout, and run the command again',
  ),
  KAFKA_PROGRESS_CORRUPT: row(
    false,
    'another program wrote to the progress topic; restrict WRITE on it to the relay',
  ),
  KAFKA_UNAVAILABLE: row(
    true,
    'check that a broker is up and reachable; the call is tried again with backoff',
  ),
  KAFKA_PROTOCOL: row(false, 'report it: a broker answered something that this client does not understand'),
  KAFKA_SESSION_CLOSED: row(
    false,
    'open a new session: this one was closed or poisoned by an earlier failure',
  ),

  CONSUMER_OPTIONS_INVALID: row(false, 'correct the option that the message names'),
  CONSUMER_HANDLER_MISSING: row(false, 'register a handler with consumer.on(type, handler) before start()'),
  CONSUMER_HANDLER_FAILED: row(true, 'read the cause: the handler threw; the event is retried'),
  CONSUMER_PERMANENT: row(
    false,
    'correct the event or the handler, then replay it: consumer.replay({ ids })',
  ),
  CONSUMER_HANDLER_KILLED: row(
    false,
    'find out why the process ended while it handled this event (memory, a native crash, process.exit), then replay it: consumer.replay({ ids })',
  ),
  CONSUMER_EVENT_TOO_OLD: row(
    false,
    'find out whether the event took effect before; if not, replay it: consumer.replay({ ids }). Raise marks.windowMs',
  ),
  CONSUMER_EVENT_INVALID: row(
    false,
    'the payload does not fit the schema of its topic; details.issues lists why',
  ),
  CONSUMER_EVENT_STUCK: row(
    false,
    'read the cause and correct it, or name a deadLetterTopic, or set exhausted to skip; then start the consumer again',
  ),
  CONSUMER_DEAD_LETTER_UNKNOWN: row(
    false,
    'look which there are: oncebox dead-letters list --consumer NAME --state all',
  ),
  CONSUMER_KEY_PARKED: row(
    true,
    'none: an earlier event of its key failed and waits for its next attempt; this one runs after it',
  ),
  CONSUMER_PARKING_FULL: row(
    true,
    'find out why so many events fail (inbox.parked has the causes); the partition goes on when some have taken effect or became dead letters. Or raise keysMax and eventsMax of parkKey',
  ),
  CONSUMER_RETRY_TOPIC_MISSING: row(
    false,
    'create the topic with the command that the message ends with, or grant Create on it, and start the consumer again',
  ),
  CONSUMER_POSITION_LOST: row(
    true,
    'none: the partition was taken over or the database was restored; the consumer reads its position again',
  ),
  CONSUMER_POSITION_OUT_OF_RANGE: row(
    false,
    'decide where to go on: the recorded position is outside the partition (retention, re-created topic or restored database)',
  ),
  CONSUMER_DATABASE_UNAVAILABLE: row(
    true,
    'check that PostgreSQL is up and that the consumer may connect; it tries again with backoff',
  ),
  CONSUMER_DATABASE_REFUSED: row(
    false,
    "run oncebox migrate, then, as the owner of the schema, select inbox.grant_consumer('ROLE') for the role that the consumer logs in as; the message says what was refused. Then start the consumer again: no event was given up",
  ),
  CONSUMER_STOP_TIMEOUT: row(
    true,
    'raise timeoutMs of stop(), or shorten the handler: what was in hand is rolled back and delivered again',
  ),
  CONSUMER_REVOKED: row(true, 'none: the partition now belongs to another member of the group'),
  CONSUMER_CLAIM_HELD: row(
    true,
    'none: somebody else handles the event; try again when details.remainingMs are over',
  ),
  CONSUMER_CLAIM_LOST: row(
    true,
    'raise leaseMs above the longest time that the process or Redis stands still: the effect has run, and whoever took the event over may have run it too',
  ),
  CONSUMER_REDIS_AMNESIA: row(
    false,
    'find out what Redis has lost (details.loss), and whether events may take effect again; then let the consumer go on: dedup.accept(). For a consumer that has never run, accept() is all there is to do',
  ),
  CONSUMER_REDIS_EVICTS: row(
    false,
    'set maxmemory-policy noeviction (CONFIG SET maxmemory-policy noeviction, and in the configuration file); it goes on by itself unless keys were evicted',
  ),
  CONSUMER_REDIS_UNSUPPORTED: row(false, 'use Redis 6.2 or newer, which tells its run_id in INFO server'),
  CONSUMER_REDIS_UNAVAILABLE: row(
    true,
    'check that Redis is up, is the primary, and lets this user run scripts; nobody knows whether the command ran, and the next call of the same event finds out',
  ),
  CONSUMER_REDIS_EFFECT_REFUSED: row(
    false,
    'correct the command that the message names; nothing has changed, and the event is not marked',
  ),
  CONSUMER_DEDUP_WINDOW_TOO_SHORT: row(
    false,
    'remember done events, or keep their jobs, for details.neededMs at least, or let the topic keep its records for less long',
  ),

  CLI_USAGE: row(false, 'run it with --help'),
  CLI_CONFIG_INVALID: row(false, 'the file must be: export default defineRelay({ ... })'),
} as const satisfies Record<string, ErrorCodeRow>

/** The code of an {@link OutboxError}: `OUTBOX_*`, `RELAY_*`, `KAFKA_*`, `CONSUMER_*` or `CLI_*`. */
export type ErrorCode = keyof typeof errorCodes

/** Ids that locate a failure: topic, partition, offset, epoch, attempt. Never payloads, never credentials. */
export type ErrorDetails = Readonly<Record<string, unknown>>

export interface OutboxErrorOptions {
  readonly cause?: unknown
  readonly details?: ErrorDetails
}

const brand = Symbol.for('oncebox.error')

/** The one error class of oncebox. Look at `code`, not at the class: two installed copies then agree. */
export class OutboxError extends Error {
  override readonly name: string = 'OutboxError'
  readonly [brand] = true
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, options: OutboxErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
  }

  /** Whether the same call can succeed later without anybody changing anything. */
  get retriable(): boolean {
    return errorCodes[this.code].retriable
  }

  /** The exact next step. The command line prints it under the message. */
  get remedy(): string {
    return errorCodes[this.code].remedy
  }

  /** Whether `error` is an oncebox error, and, when given, has this code. */
  static is(error: unknown, code?: ErrorCode): error is OutboxError {
    return (
      typeof error === 'object' &&
      error !== null &&
      brand in error &&
      (code === undefined || ('code' in error && error.code === code))
    )
  }
}

/**
 * Thrown by a handler for an event that no retry can help: it goes to the dead letters at once.
 *
 * @example
 * if (!customer) throw new PermanentError(`no customer ${customerId}`)
 */
export class PermanentError extends OutboxError {
  override readonly name = 'PermanentError'

  constructor(message: string, options: OutboxErrorOptions = {}) {
    super('CONSUMER_PERMANENT', message, options)
  }
}

/** Stops a program that broke its own rules. Not for anything a user, a network or a server can cause. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant violated: ${message}`)
}
