import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { expect, test } from 'vitest'
import { setTopicConfig } from '@internal/stack'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { LetterWrites } from '../src/dead-letters/letter-writes.js'
import { claimShard } from '../src/sharing/claim-shard.js'
import { setUp, startRelayProcess, untilIdleAt, untilPublished, untilStopped, type Bed } from './bed.js'

const tooLarge = Buffer.alloc(5_000, 'x')
const small = { 'max.message.bytes': '4000' }
const raised = { 'max.message.bytes': '1048588' }

interface Holders extends AsyncDisposable {
  readonly old: pg.Client
  readonly next: pg.Client
  /** A letter for the event, as the holder of an epoch writes it. */
  setAside(client: pg.Client, epoch: number): Promise<void>
  claim(client: pg.Client, expected: number): Promise<number>
}

/** Two connections, an event, and epoch 1 held by the first. */
async function twoHolders(bed: Bed): Promise<Holders> {
  const [old, next] = [new pg.Client(bed.url), new pg.Client(bed.url)]
  await Promise.all([old.connect(), next.connect()])
  await bed.emit(['poison'])
  const { rows: life } = await old.query<{ token: string }>(
    'insert into outbox.life default values returning token',
  )
  const { rows: event } = await old.query<{ id: string; seq: string }>('select id, seq from outbox.events')
  const claim = async (client: pg.Client, expected: number): Promise<number> =>
    await claimShard(
      client,
      {
        shard: 0,
        generation: 1,
        relay: bed.relayName,
        incarnation: randomUUID(),
        holder: randomUUID(),
        clusterId: 'c',
        progressTopic: 'p',
        progressTopicId: randomUUID(),
      },
      expected,
    )
  expect(await claim(old, 0)).toBe(1)
  const setAside = async (client: pg.Client, epoch: number): Promise<void> => {
    const writes = new LetterWrites(client, { shard: 0, epoch, lifeToken: life[0]?.token ?? '' })
    const refusal = { code: 'KAFKA_RECORD_TOO_LARGE', reason: 'it is' }
    const { id, seq } = event[0] ?? { id: '', seq: 0 }
    await writes.setAside([
      { id, seq: BigInt(seq), topic: bed.topic, key: Buffer.from('poison'), parksKey: true, refusal },
    ])
  }
  const close = async (): Promise<void> => void (await Promise.all([old.end(), next.end()]))
  return { old, next, setAside, claim, [Symbol.asyncDispose]: close }
}

/** Resolves when somebody waits for the lock of the shard. */
async function untilLockAwaited(bed: Bed): Promise<void> {
  const waiting = `select from pg_locks where locktype = 'advisory' and not granted
                    and database = (select oid from pg_database where datname = current_database())`
  await expect
    .poll(async () => (await bed.pool.query(waiting)).rowCount, { interval: 5, timeout: 10_000 })
    .toBe(1)
}

// The second round of attacks, A9: the old holder's statement saw its epoch, the next holder published the event, and
// only then the old one's commit brought the letter: requeued, the event would be in its topic twice.
test('a letter that is on its way when the shard is claimed is there before the claim is', async () => {
  await using bed = await setUp()
  await using holders = await twoHolders(bed)
  await holders.old.query('begin')
  await holders.setAside(holders.old, 1)
  const claimed = holders.claim(holders.next, 1)
  await untilLockAwaited(bed)
  expect(await bed.letters()).toEqual([])
  await holders.old.query('commit')
  expect(await claimed).toBe(2)
  expect(await bed.letters()).toHaveLength(1)
})

test('a letter that comes while the shard is claimed waits for the claim, and is refused', async () => {
  await using bed = await setUp()
  await using holders = await twoHolders(bed)
  const { next } = holders
  // As claimShard does, stopped before its commit.
  await next.query('begin')
  await next.query('select pg_advisory_xact_lock(1869505381, 0)')
  const late = holders.setAside(holders.old, 1)
  late.catch(() => undefined)
  await untilLockAwaited(bed)
  await next.query(
    `insert into outbox.claims select shard, 2, generation, relay, gen_random_uuid(), 'next', kafka_cluster_id, progress_topic, progress_topic_id from outbox.claims`,
  )
  await next.query('commit')
  await expect(late).rejects.toMatchObject({ code: 'RELAY_FENCED' })
  expect(await bed.letters()).toEqual([])
})

test('a letter is refused by a server that is not the one that was read from', async () => {
  await using bed = await setUp()
  await using holders = await twoHolders(bed)
  await bed.pool.query('truncate outbox.life')
  await bed.pool.query('insert into outbox.life default values')
  await expect(holders.setAside(holders.old, 1)).rejects.toMatchObject({ code: 'RELAY_LIFE_ENDED' })
})

test('no letter is written where a caller runs it in a snapshot of its own', async () => {
  await using bed = await setUp()
  await using holders = await twoHolders(bed)
  await holders.old.query('begin isolation level repeatable read')
  await expect(holders.setAside(holders.old, 1)).rejects.toThrow('read committed')
})

test('a relay process paused before it sets an event aside, and woken after the next one has published it, writes no letter', async () => {
  await using bed = await setUp()
  await setTopicConfig(bed.topic, small)
  await bed.emit(['a'])
  await bed.emit(['poison'], tooLarge)
  const paused = startRelayProcess(bed, { fault: 'relay.poison.found:stop' })
  await untilStopped(paused.child.pid ?? 0)
  await setTopicConfig(bed.topic, raised)
  await using fresh = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 2)
  await fresh.start()
  await published
  const lost = paused.untilSaid('RELAY_FENCED')
  paused.child.kill('SIGCONT')
  await lost
  expect(await bed.letters()).toEqual([])
  paused.child.kill('SIGTERM')
  await paused.ended
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test.for(['relay.requeue.taken:stop', 'relay.requeue.committed:stop'])(
  'a relay process paused at %s, and woken after a takeover, publishes no letter twice',
  async (fault) => {
    await using bed = await setUp()
    await setTopicConfig(bed.topic, small)
    await bed.emit(['poison'], tooLarge)
    await bed.emit(['poison'])
    {
      await using relay = createRelay(bed.options)
      const idle = untilIdleAt(bed)
      await relay.start()
      await idle
    }
    await setTopicConfig(bed.topic, raised)
    await bed.request('requeue')
    const paused = startRelayProcess(bed, { fault })
    await untilStopped(paused.child.pid ?? 0)
    await using fresh = createRelay(bed.options)
    const idle = untilIdleAt(bed)
    await fresh.start()
    await idle
    const lost = paused.untilSaid('RELAY_FENCED')
    paused.child.kill('SIGCONT')
    await lost
    paused.child.kill('SIGTERM')
    await paused.ended
    expect((await bed.letters()).map(({ state }) => state)).toEqual(['published', 'published'])
    expect((await bed.published()).length).toBe(2)
    expect(describeVerdict(await bed.verdict())).toEqual([])
  },
)
