import { describeVerdict, judge, readTopic, type CommittedEvent, type Verdict } from '@internal/audit'
import { createTopic, startKafkaCluster, startStack, type KafkaCluster } from '@internal/stack'
import { migrateOutbox } from '@oncebox/outbox'
import { createRelay } from '@oncebox/relay'
import { Kafka, logLevel } from 'kafkajs'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import {
  wholeNumber,
  WrongUse,
  type Experiment,
  type ExperimentOptions,
  type Outcome,
} from '../experiment.js'
import { faultKinds, planFaults, strike, type Fault } from './fault.js'
import { Published } from './published.js'
import { Writers } from './writers.js'

const partitions = 6
const relayName = 'chaos'
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** A relay on three brokers with three replicas, two of them in sync, that lose a broker again and again. */
export const brokersExperiment: Experiment = {
  name: 'brokers',
  summary: 'a relay publishes while each of three brokers is lost in turn',
  usage: `    --events N     events in all; 200000 unless given
    --faults LIST  what is done to each broker in turn, of ${Object.keys(faultKinds).join(', ')}; kill unless given
    --version V    Kafka 4.3 or 3.9; 4.3 unless given
`,
  run,
}

interface StruckFault extends Fault {
  /** Events published before. */
  readonly at: number
  /** Until the next event was published after the fault. */
  readonly silentMs: number
  /** Until the broker was back and every replica in sync. */
  readonly healedMs: number
  readonly reopened: number
}

async function run({ values, say, signal }: ExperimentOptions): Promise<Outcome> {
  const events = wholeNumber('events', values['events'], 200_000, 100)
  const faults = planFaults(values['faults'] ?? 'kill')
  const version = values['version'] ?? '4.3'
  if (version !== '4.3' && version !== '3.9') throw new WrongUse(`--version is ${version}: 4.3 or 3.9`)

  await using stack = await startStack({ services: ['postgres'], reuse: false, signal })
  await using cluster = await startKafkaCluster({ brokers: 3, version, signal })
  say(`three brokers of Kafka ${version} are ready`)
  const { brokers } = cluster
  await migrateOutbox(stack.postgres.url)
  const topic = await createTopic('chaos', { brokers, partitions, replicationFactor: 3 })
  await using writers = await Writers.connect(stack.postgres.url, topic)
  using published = new Published(relayName)
  await using relay = createRelay({
    name: relayName,
    db: { connectionString: stack.postgres.url },
    kafka: { brokers: [...brokers] },
    progress: { replicationFactor: 3 },
    logger: silent,
  })
  await relay.start({ signal })
  const stopped = new AbortController()
  relay.stopped.catch((error: unknown) => stopped.abort(error))
  const going = AbortSignal.any([signal, stopped.signal])

  const startedMs = performance.now()
  const struck: StruckFault[] = []
  for (const [index, fault] of faults.entries()) {
    const share =
      Math.floor((events * (index + 1)) / faults.length) - Math.floor((events * index) / faults.length)
    const one = await strikeUnderLoad({ cluster, topic, writers, published, fault, share, signal: going })
    struck.push(one)
    say(`${String(published.events).padStart(8)} events  ${tell(one)}`)
  }
  const seconds = (performance.now() - startedMs) / 1000
  await relay.stop()
  say('reading the topic with the consumer of Apache ...')
  const verdict = await judgeTopic(stack.postgres.url, topic, cluster)
  return outcomeOf({ events, version, seconds, struck, verdict })
}

interface Load {
  readonly cluster: KafkaCluster
  readonly topic: string
  readonly writers: Writers
  readonly published: Published
  readonly fault: Fault
  /** Events that are written from before the fault until after it. */
  readonly share: number
  readonly signal: AbortSignal
}

const settleMs = 180_000

async function strikeUnderLoad(load: Load): Promise<StruckFault> {
  const { cluster, topic, writers, published, fault, share } = load
  const signal = AbortSignal.any([load.signal, AbortSignal.timeout(settleMs)])
  const [before, reopenedBefore] = [published.events, published.reopened]
  const writing = writers.write(share, signal)
  writing.catch(() => undefined) // awaited below
  await published.until(before + Math.ceil(share / 4), signal)
  const at = published.events
  const struckMs = performance.now()
  let silentMs = 0
  const heard = published.until(at + 1, signal).then(() => {
    silentMs = performance.now() - struckMs
  })
  heard.catch(() => undefined)
  await strike(cluster, fault, signal)
  await untilInSync(cluster, topic, signal)
  const healedMs = performance.now() - struckMs
  await Promise.all([writing, heard])
  await published.until(before + share, signal)
  return { ...fault, at, silentMs, healedMs, reopened: published.reopened - reopenedBefore }
}

const inSyncTryMs = 250

/** Kafka has nothing to wait on for this: asked until every replica of the topic is in sync again. */
async function untilInSync(cluster: KafkaCluster, topic: string, signal: AbortSignal): Promise<void> {
  const kafka = new Kafka({ clientId: 'chaos', brokers: [...cluster.brokers], logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  try {
    for (;;) {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      if (topics[0]?.partitions.every(({ isr }) => isr.length === 3) === true) return
      await delay(inSyncTryMs, undefined, { signal })
    }
  } finally {
    await admin.disconnect()
  }
}

async function judgeTopic(url: string, topic: string, cluster: KafkaCluster): Promise<Verdict> {
  const client = new pg.Client(url)
  await client.connect()
  const { rows } = await client.query<{ id: string; key: string; seq: string }>(
    'select id, key, seq from outbox.events order by events.seq',
  )
  await client.end()
  const committed: CommittedEvent[] = rows.map(({ id, key, seq }) => ({ id, key, version: Number(seq) }))
  const versions = new Map(committed.map(({ id, version }) => [id, version]))
  const records = await readTopic({
    brokers: cluster.brokers,
    classpath: cluster.judgeClasspath,
    topic,
    isolation: 'read_committed',
  })
  const published = records.map(({ key, partition, offset, headers }) => {
    const id = headers.get('ce_id') ?? ''
    return { id, key, version: versions.get(id) ?? -1, partition, at: `${topic}-${partition}@${offset}` }
  })
  return judge({ committed, published })
}

interface Evidence {
  readonly events: number
  readonly version: string
  readonly seconds: number
  readonly struck: readonly StruckFault[]
  readonly verdict: Verdict
}

function outcomeOf({ events, version, seconds, struck, verdict }: Evidence): Outcome {
  const counts = Object.entries(verdict.totals).map(([anomaly, count]) => `${count} ${anomaly}`)
  const ok = verdict.ok && verdict.committed === events
  const lines = [
    `Kafka ${version}, 3 brokers, replication 3, min.insync.replicas 2, transactions of a relay, ${seconds.toFixed(0)} s`,
    ...struck.map((fault) => `  ${tell(fault)}`),
    `${verdict.committed} events committed: ${counts.join(', ')}`,
    ...describeVerdict(verdict),
    ok ? 'every promise held' : 'a promise was broken',
  ]
  return { ok, lines, facts: { events, version, seconds, struck, totals: verdict.totals } }
}

const tell = ({ kind, node, silentMs, healedMs, reopened }: StruckFault): string =>
  `${kind} of broker ${node}: silent for ${(silentMs / 1000).toFixed(1)} s, whole again after ${(healedMs / 1000).toFixed(1)} s, ${reopened} sessions given up`
