/**
 * The named moments between two effects where a process may die. Each promise in docs/guarantees.md names the points
 * it was killed at. In production a fault point is one look at an undefined global; only the test agent sets it.
 */
export const faultPoints = {
  'outbox.events.inserted': 'the events are inserted, COMMIT is not sent',
  'outbox.commit.sent': 'COMMIT is on its way, its answer is not read',
  'outbox.commit.acked': 'the events are committed, the caller does not know it yet',
  'relay.epoch.raised': 'the database names this relay the holder, Kafka has not fenced the old one',
  'relay.ids.initialised': 'both transactional ids are ours, the claim is not committed',
  'relay.claim.committed': 'the claim is committed, the position is not read',
  'relay.position.read': 'the position is read, no window is taken',
  'relay.window.taken': 'a window is read, nothing is produced, its record is not written',
  'relay.window.recorded': 'the window record is committed in the database',
  'relay.produce.sent': 'the batch is on its way to Kafka, no answer is read',
  'relay.produce.acked': 'every record of the batch is acknowledged, EndTxn is not sent',
  'relay.endtxn.sent': 'EndTxn is on its way, its answer is not read',
  'relay.endtxn.acked': 'the batch is committed, the relay does not know it yet',
  'relay.poison.found': 'events of a page cannot be published, no dead letter is written',
  'relay.poison.recorded': 'the dead letters are committed, no position is past their events',
  'relay.requeue.taken': 'dead letters are about to be published again, nothing is sent',
  'relay.requeue.committed': 'they are committed in Kafka, the database does not know it',
  'relay.requeue.recorded': 'the database knows it, their key is not free',
  'relay.discard.taken': 'dead letters are about to be discarded, nothing is written',
  'relay.discard.recorded': 'they are discarded, their key has not gone on',
  'relay.replay.taken': 'events are about to be published again, nothing is sent',
  'relay.replay.committed': 'they are committed in Kafka, the database does not know it',
  'relay.replay.recorded': 'the database knows it, the next ones are not looked for',
  'relay.reshard.fenced':
    'nobody publishes the old shards any more, the snapshot at which they end is not recorded',
  'relay.reshard.recorded': 'the snapshot at which the old shards end is recorded, none is closed',
  'relay.reshard.closed': 'an old shard is closed, the new ones have no beginning',
  'relay.confirmation.proven':
    'the commit markers of what was published have been seen, no window record says so',
  'relay.rotation.sent': 'a step of the rotation is on its way to the database, its answer is not read',
  'relay.rotation.advanced': 'writers have moved on to another slot',
  'relay.rotation.emptied': 'a slot was emptied',
  'relay.removal.recorded':
    'the relay is removed and its shards are fenced, the next generation has no beginning',
  'relay.adopt.fenced':
    'adopt has fenced every relay and begun a shard map, and has not looked at what was published',
  'relay.adopt.compared': 'adopt knows what is absent from the topics, and has published none of it',
  'relay.adopt.published': 'a batch of what was absent is committed, the database says nothing of it',
  'relay.adopt.recorded': 'the database has the beginning of the new shards, Kafka has no position of theirs',
  'relay.adopt.positioned': 'Kafka has the position of a new shard, the database does not say so',
  'consumer.attempt.started': 'the attempt is recorded, the handler has not run',
  'consumer.mark.inserted': 'the dedup mark is inserted, the handler has not run',
  'consumer.position.moved': 'the position is moved inside the transaction, the handler has not run',
  'consumer.effect.done': 'the handler has run, COMMIT is not sent',
  'consumer.commit.sent': 'COMMIT is on its way, its answer is not read',
  'consumer.commit.acked': 'the effect is committed, the position is not written',
  'consumer.forwarding':
    'a failed event is about to be sent to its retry topic, with the mark or the position; nothing is committed',
  'consumer.parked': 'an event is parked in the transaction that passes it, COMMIT is not sent',
  'consumer.letter.sent':
    'a dead letter is in Kafka, the offset behind its event, or its mark, is not written',
  'consumer.drain.claimed': 'the first parked event of a key is claimed, its transaction is not begun',
  'consumer.drain.ended': 'its handler has run and it is out of the queue, COMMIT is not sent',
  'consumer.drain.failed': 'its handler has failed, the next delay is not written',
  'consumer.position.written': 'the position is in the database, the offset is not committed to Kafka',
  'consumer.offset.due': 'the handlers have run, the offset is not committed to Kafka',
  'consumer.offset.committed': 'the offset is committed to Kafka',
  'redis.claimed': 'the event is claimed in Redis, its effect has not run',
  'redis.effect.done': 'the effect has run, Redis has only the claim',
  'redis.finish.sent': 'the mark of a done event is on its way to Redis, its answer is not read',
  'redis.effect.sent': 'an effect in Redis and its mark are on their way, the answer is not read',
  'bullmq.job.added': "an event's job is in the queue, the transaction of its handler is not committed",
} as const

/** The name of a fault point. */
export type FaultPoint = keyof typeof faultPoints

/** What the test agent installs: may kill or stop the process, throw, or return a promise that is awaited. */
export type FaultHandler = (name: FaultPoint) => void | Promise<void>

const handlerKey = Symbol.for('oncebox.fault-handler')

interface FaultGlobal {
  [handlerKey]?: FaultHandler | undefined
}

// The agent is loaded with --import, before and apart from the package under test, so a global symbol is the meeting point.
const shared = globalThis as FaultGlobal

/** Marks a crash window. Awaiting it costs nothing unless a test agent is installed. */
export function faultPoint(name: FaultPoint): void | Promise<void> {
  const handler = shared[handlerKey]
  if (handler !== undefined) return handler(name)
}

/** Installs the handler; `undefined` removes it. For test agents only. */
export function installFaultHandler(handler: FaultHandler | undefined): void {
  shared[handlerKey] = handler
}
