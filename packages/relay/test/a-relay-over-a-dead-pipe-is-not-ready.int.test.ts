import { expect, test } from 'vitest'
import { channels } from '@oncebox/core'
import { createNamedTopic, randomName, startPrivateKafka } from '@internal/stack'
import { createRelay, type Relay, type UnreadyReason } from '../src/index.js'
import { insertEvent, setUp, startRelayProcess, untilIdleAt, untilPublished, untilSeen } from './bed.js'

interface Readyz {
  readonly status: number
  readonly body: { readonly ready: boolean; readonly reasons: readonly UnreadyReason[] }
}

async function readyz(relay: Relay): Promise<Readyz> {
  const response = await fetch(`${relay.httpUrl}/readyz`)
  // What http-server.ts answers.
  return { status: response.status, body: (await response.json()) as Readyz['body'] }
}

/** The value of a series; undefined when there is none. Labels as they are written, the relay's own left out. */
async function metric(relay: Relay, series: string): Promise<number | undefined> {
  const text = await (await fetch(`${relay.httpUrl}/metrics`)).text()
  const line = text.split('\n').find((each) => each.replace(/,?relay="[^"]*"/, '').startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.split(' ').at(-1))
}

/** Resolves when the relay tells that it is, or is not, ready. */
async function untilReady(
  relay: string,
  ready: boolean,
  signal = AbortSignal.timeout(60_000),
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const listener = (message: unknown): void => {
      const told = message as { readonly relay: string; readonly ready: boolean }
      if (told.relay !== relay || told.ready !== ready) return
      channels.relayReadiness.unsubscribe(listener)
      resolve()
    }
    channels.relayReadiness.subscribe(listener)
    signal.addEventListener('abort', () => reject(new Error(`it was not told that ready is ${ready}`)), {
      once: true,
    })
  })
}

const observed = { http: { port: 0 }, readyWithinMs: 1_500, leaseMs: 10_000 }

test('a broker that answers nothing makes a relay unready as soon as there is work, and not before', async () => {
  await using kafka = await startPrivateKafka()
  await using bed = await setUp({ relay: { ...observed, kafka: { brokers: [...kafka.brokers] } } })
  await createNamedTopic(bed.topic, { brokers: kafka.brokers, partitions: 1 })
  await using relay = createRelay(bed.options)
  const first = untilPublished(bed.relayName, 1)
  await relay.start()
  await bed.emit(['a'])
  await first
  expect(await readyz(relay)).toMatchObject({ status: 200, body: { ready: true, reasons: [] } })

  kafka.pause()
  await untilIdleAt(bed)
  expect(await readyz(relay)).toMatchObject({ status: 200 })
  const unready = untilReady(bed.relayName, false)
  await bed.emit(['b', 'c'])
  await unready
  expect(await readyz(relay)).toMatchObject({
    status: 503,
    body: {
      ready: false,
      reasons: [{ code: 'stalled', shard: 0, step: 'publishing', topics: [bed.topic] }],
    },
  })
  expect(await metric(relay, 'oncebox_relay_ready{}')).toBe(0)
  expect(await metric(relay, 'oncebox_relay_backlog_events{shard="0"}')).toBe(2)
  expect(await metric(relay, 'oncebox_relay_lag_ms{shard="0"}')).toBeGreaterThan(1_000)

  const ready = untilReady(bed.relayName, true)
  kafka.resume()
  await ready
  await untilIdleAt(bed)
  expect(await readyz(relay)).toMatchObject({ status: 200, body: { ready: true } })
  expect(await metric(relay, 'oncebox_relay_ready{}')).toBe(1)
  expect(await metric(relay, 'oncebox_relay_events_total{shard="0"}')).toBe(3)
})

test('a shard that waits for a topic makes a relay unready at once, and names the topic', async () => {
  const lines: { readonly message: string; readonly fields: object }[] = []
  const logger = {
    info: (fields: object, message: string) => void lines.push({ message, fields }),
    warn: (fields: object, message: string) => void lines.push({ message, fields }),
    error: () => undefined,
  }
  await using bed = await setUp({ relay: { ...observed, readyWithinMs: 60_000, logger } })
  await using relay = createRelay(bed.options)
  await relay.start()
  await untilIdleAt(bed)
  const missing = randomName('missing')
  const unready = untilReady(bed.relayName, false)
  await bed.pool.query(insertEvent, [missing, 'a', Buffer.from('{}')])
  await unready
  expect(await readyz(relay)).toMatchObject({
    status: 503,
    body: {
      reasons: [{ code: 'halted', shard: 0, why: { code: 'RELAY_TOPIC_UNAVAILABLE', topic: missing } }],
    },
  })
  expect(relay.status).toMatchObject([{ shard: 0, why: { topic: missing } }])
  const ready = untilReady(bed.relayName, true)
  const published = untilPublished(bed.relayName, 1)
  await createNamedTopic(missing)
  await published
  await ready
  expect(lines.map(({ message }) => message)).toEqual(expect.arrayContaining(['not ready', 'ready again']))
})

test('the window lag is the age of the transaction whose events wait for it, and names who it is; others hold nothing', async () => {
  await using bed = await setUp({ relay: observed })
  await using relay = createRelay(bed.options)
  await relay.start()
  await untilIdleAt(bed)
  const [emitter, bystander] = [await bed.pool.connect(), await bed.pool.connect()]
  try {
    await bystander.query('begin')
    await bystander.query('create temporary table unrelated as select 1')
    expect(await metric(relay, 'oncebox_relay_window_holders{}')).toBe(0)
    expect(await metric(relay, 'oncebox_relay_window_lag_ms{}')).toBe(0)
    await emitter.query('begin')
    await emitter.query(insertEvent, [bed.topic, 'a', Buffer.from('{}')])
    const { rows } = await emitter.query<{ pid: number }>('select pg_backend_pid() as pid')
    const pid = String(rows[0]?.pid)
    await new Promise((resolve) => setTimeout(resolve, 1_100)) // a scrape within a second is answered by the last look
    expect(await metric(relay, 'oncebox_relay_window_holders{}')).toBe(1)
    expect(
      await metric(relay, `oncebox_relay_window_holder_age_ms{pid="${pid}",gid=""}`),
    ).toBeGreaterThanOrEqual(1_000)
    expect(await metric(relay, 'oncebox_relay_window_lag_ms{}')).toBeGreaterThanOrEqual(1_000)
    expect(await metric(relay, 'oncebox_relay_backlog_events{shard="0"}')).toBe(0)
    const published = untilPublished(bed.relayName, 1)
    await emitter.query('commit')
    await published
  } finally {
    await bystander.query('rollback')
    emitter.release()
    bystander.release()
  }
})

test('a shard that was taken over is counted, and one that was lost', async () => {
  await using bed = await setUp({ relay: { ...observed, leaseMs: 600 } })
  const other = startRelayProcess(bed)
  await other.untilSaid('shard opened')
  await using relay = createRelay(bed.options)
  await relay.start()
  const takeover = untilSeen('relayTakeover', bed.relayName)
  other.child.kill('SIGKILL')
  await other.ended
  await takeover
  expect(await metric(relay, 'oncebox_relay_takeovers_total{shard="0"}')).toBe(1)
  const lost = untilSeen('relayLost', bed.relayName)
  await bed.pool.query(
    `insert into outbox.claims (shard, epoch, generation, relay, incarnation, holder, kafka_cluster_id, progress_topic, progress_topic_id)
     select shard, epoch + 1, generation, relay, gen_random_uuid(), 'somebody else', kafka_cluster_id, progress_topic, progress_topic_id
       from outbox.claims order by epoch desc limit 1`,
  )
  await lost
  expect(await metric(relay, 'oncebox_relay_fenced_total{shard="0"}')).toBe(1)
})
