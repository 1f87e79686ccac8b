import { invariant, nextDelayMs, OutboxError } from '@oncebox/core'
import { BrokerConnections } from './broker-connections.js'
import type { DescribeOptions, KafkaClient, TopicDescription, TopicIdentity } from './client.js'
import { Deadline } from './deadline.js'
import {
  resolveKafkaOptions,
  within,
  type BrokerAddress,
  type KafkaOptions,
  type ResolvedKafkaOptions,
} from './options.js'
import type { Api } from './protocol/api.js'
import { apiVersions, thisSoftware, type ApiVersionsAnswer } from './protocol/api-versions.js'
import { denialOf } from './protocol/denial.js'
import { describeConfigs } from './protocol/describe-configs.js'
import { coordinatorNotReady, describeCode, errorCode, topicNotReady } from './protocol/error-codes.js'
import { findCoordinator, type CoordinatorKind } from './protocol/find-coordinator.js'
import { metadata, type MetadataAnswer } from './protocol/metadata.js'
import { transactionVersionOf, type TransactionVersion } from './protocol/transaction-version.js'

/** Where the partitions of a topic are led. */
export interface TopicLayout {
  readonly topicId: string
  /** By partition: the broker id of its leader. */
  readonly leaders: readonly number[]
}

const connectDeadlineMs = 15_000
const topicPatienceMs = 5_000
const retry = { minMs: 20, maxMs: 500 }
const featuresMaxAgeMs = 10_000

/**
 * Connects and checks that the cluster speaks what sessions and readers need: Kafka 3.9 or newer.
 *
 * @example
 * await using client = await connectKafka({ brokers: ['localhost:9092'] })
 * @throws OutboxError KAFKA_OPTIONS_INVALID, KAFKA_UNSUPPORTED, KAFKA_UNAVAILABLE after 15 s, KAFKA_TLS_FAILED,
 *   KAFKA_AUTHENTICATION_FAILED
 */
export async function connectKafka(
  options: KafkaOptions,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<KafkaClient> {
  const cluster = new Cluster(resolveKafkaOptions(options))
  try {
    await cluster.connect(signal)
    return cluster
  } catch (error) {
    await cluster.close()
    throw error
  }
}

/** The inside of a client that `connectKafka` returned. */
export function clusterOf(client: KafkaClient): Cluster {
  invariant(client instanceof Cluster, 'a KafkaClient comes from connectKafka()')
  return client
}

/** A cluster as this process knows it: brokers, topics, coordinators; and connections for everything but sessions. */
export class Cluster implements KafkaClient {
  readonly options: ResolvedKafkaOptions
  /** For requests that are answered at once. */
  readonly queries: BrokerConnections
  /** For Fetch, which may wait. */
  readonly fetches: BrokerConnections
  readonly #brokers = new Map<number, BrokerAddress>()
  readonly #layouts = new Map<string, TopicLayout>()
  readonly #descriptions = new Map<string, TopicDescription>()
  #clusterId = ''
  #features = { epoch: -1n, transactionVersion: 1 as TransactionVersion, readAtMs: -Infinity }
  #readingFeatures: Promise<void> | undefined

  constructor(options: ResolvedKafkaOptions) {
    this.options = options
    this.queries = this.newConnections()
    this.fetches = this.newConnections()
  }

  get clusterId(): string {
    return this.#clusterId
  }

  /**
   * The version in which transactions are run, as last heard: when a connection was opened, or when it was asked for in
   * the background because that is some time ago. A session looks before each transaction, so it follows an operator
   * who raises or lowers `transaction.version` while it is open.
   */
  get transactionVersion(): TransactionVersion {
    if (performance.now() - this.#features.readAtMs > featuresMaxAgeMs) this.#readFeatures()
    return this.#features.transactionVersion
  }

  /** Connections for one purpose; whoever takes them closes them. */
  newConnections(): BrokerConnections {
    return new BrokerConnections(this.options, (answer) => this.#noteFeatures(answer))
  }

  /** Asks for the brokers, trying the seeds in turn until the deadline. */
  async connect(signal?: AbortSignal): Promise<void> {
    using deadline = new Deadline(
      connectDeadlineMs,
      `connecting to ${this.options.clientId}'s brokers`,
      signal,
    )
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#askMetadata([], deadline)
        return
      } catch (error) {
        // Refusals (unsupported, unauthorized) and the deadline end it; an unreachable broker may come back.
        if (deadline.expired || !OutboxError.is(error, 'KAFKA_UNAVAILABLE') || attempt >= 5) throw error
        await deadline.delay(nextDelayMs(retry, attempt))
      }
    }
  }

  async describeTopic(name: string, options: DescribeOptions = {}): Promise<TopicDescription> {
    const known = this.#descriptions.get(name)
    if (known !== undefined && options.refresh !== true) return known
    const identity = await this.identifyTopic(name, { ...options, refresh: true })
    using deadline = new Deadline(this.options.requestTimeoutMs, `describing topic ${name}`, options.signal)
    // Never guessed: batches larger than the limit are refused, and one that would fit would count as too large.
    const maxMessageBytes = Number(
      await this.topicConfig(name, 'max.message.bytes', deadline, options.patienceMs),
    )
    const description = Object.freeze({ ...identity, maxMessageBytes })
    this.#descriptions.set(name, description)
    return description
  }

  async identifyTopic(
    name: string,
    { refresh = false, patienceMs = topicPatienceMs, signal }: DescribeOptions = {},
  ): Promise<TopicIdentity> {
    within('patienceMs', patienceMs, 0, 300_000)
    using deadline = new Deadline(this.options.requestTimeoutMs, `looking up topic ${name}`, signal)
    const { topicId, leaders } = await this.layout(name, deadline, { refresh, patienceMs })
    return Object.freeze({ name, topicId, partitions: leaders.length })
  }

  /**
   * The value in force of one of a topic's settings.
   * @throws OutboxError KAFKA_AUTHORIZATION_FAILED, KAFKA_TOPIC_UNAVAILABLE
   */
  async topicConfig(
    topic: string,
    name: string,
    deadline: Deadline,
    patienceMs = topicPatienceMs,
  ): Promise<string> {
    const patientUntilMs = performance.now() + patienceMs
    for (let attempt = 1; ; attempt++) {
      const { errorCode: code, configs } = await this.askAny(
        describeConfigs,
        { topic, names: [name] },
        deadline,
      )
      if (code === errorCode.NONE) {
        const value = configs.get(name)
        if (typeof value === 'string') return value
        throw new OutboxError('KAFKA_PROTOCOL', `DescribeConfigs: no answer for ${name} of ${topic}`, {
          details: { topic },
        })
      }
      // A topic that was just created is unknown to some brokers for a moment.
      if (code !== errorCode.UNKNOWN_TOPIC_OR_PARTITION || performance.now() >= patientUntilMs)
        throw topicUnavailable(topic, code, describeConfigs)
      await deadline.delay(nextDelayMs(retry, attempt))
    }
  }

  /**
   * Leaders and id of a topic. With `patienceMs`, a topic that is unknown or leaderless is asked for again so long: a
   * fresh one is for a while.
   *
   * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED
   */
  async layout(
    topic: string,
    deadline: Deadline,
    {
      refresh = false,
      patienceMs = topicPatienceMs,
    }: { readonly refresh?: boolean; readonly patienceMs?: number } = {},
  ): Promise<TopicLayout> {
    const known = this.#layouts.get(topic)
    if (known !== undefined && !refresh) return known
    const patientUntil = performance.now() + patienceMs
    for (let attempt = 1; ; attempt++) {
      const found = (await this.layouts([topic], deadline)).get(topic) ?? errorCode.UNKNOWN_TOPIC_OR_PARTITION
      if (typeof found !== 'number') return found
      if (!topicNotReady.has(found) || performance.now() >= patientUntil) throw topicUnavailable(topic, found)
      await deadline.delay(nextDelayMs(retry, attempt))
    }
  }

  /** Leaders and ids of several topics, asked now, in one request; of a topic that has none, the code that says why. */
  async layouts(
    topics: readonly string[],
    deadline: Deadline,
  ): Promise<ReadonlyMap<string, TopicLayout | number>> {
    const answer = await this.#askMetadata(topics, deadline)
    const found = new Map(topics.map((topic) => [topic, readLayout(answer, topic)]))
    for (const [topic, layout] of found) if (typeof layout !== 'number') this.#layouts.set(topic, layout)
    return found
  }

  /** The names of all topics that this principal may see, Kafka's own left out. */
  async topicNames(deadline: Deadline): Promise<readonly string[]> {
    const { topics } = await this.#askMetadata(null, deadline)
    return topics
      .filter(({ errorCode: code, isInternal }) => code === errorCode.NONE && !isInternal)
      .map(({ name }) => name)
  }

  /** The address of a broker that metadata or a coordinator look-up named. */
  async address(nodeId: number, deadline: Deadline): Promise<BrokerAddress> {
    if (!this.#brokers.has(nodeId)) await this.#askMetadata([], deadline)
    const address = this.#brokers.get(nodeId)
    if (address !== undefined) return address
    throw new OutboxError('KAFKA_UNAVAILABLE', `broker ${nodeId} is not in the cluster's metadata`, {
      details: { nodeId },
    })
  }

  /** The broker that keeps the state of a group or a transactional id. Waits while the cluster has none yet. */
  async coordinator(kind: CoordinatorKind, key: string, deadline: Deadline): Promise<BrokerAddress> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.askAny(findCoordinator, { kind, key }, deadline)
      const found = answer.coordinators[0]
      const code = found?.errorCode ?? errorCode.UNKNOWN_SERVER_ERROR
      if (found !== undefined && code === errorCode.NONE) return { host: found.host, port: found.port }
      if (!coordinatorNotReady.has(code)) throw noCoordinator(kind, key, code)
      await deadline.delay(nextDelayMs(retry, attempt))
    }
  }

  /** Where a partition is led, as far as it is known without asking. */
  knownLeader({ topic, partition }: { readonly topic: string; readonly partition: number }) {
    const leader = this.#layouts.get(topic)?.leaders[partition]
    return leader === undefined ? undefined : this.#brokers.get(leader)
  }

  /** Asks any broker: one that is connected first, then the others, then the seeds. */
  async askAny<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    deadline: Deadline,
  ): Promise<Answer> {
    const known = [...this.#brokers.values()]
    const candidates = [
      ...known.filter((address) => this.queries.has(address)),
      ...known.filter((address) => !this.queries.has(address)),
      ...this.options.seeds,
    ]
    let failure: unknown
    for (const address of candidates) {
      deadline.throwIfExpired()
      try {
        const connection = await this.queries.to(address, deadline)
        return await deadline.race(connection.call(api, request))
      } catch (error) {
        if (deadline.expired || !concernsOneBroker(error)) throw error
        // Nobody waits for a certificate to get better, so that is the one to tell.
        if (!OutboxError.is(failure, 'KAFKA_TLS_FAILED')) failure = error
      }
    }
    throw failure
  }

  /** Asks the leader of a partition; `topicNotReady` codes are the caller's, who refreshes the layout and asks again. */
  async askLeader<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    at: { readonly topic: string; readonly partition: number; readonly connections?: BrokerConnections },
    deadline: Deadline,
  ): Promise<Answer> {
    const { leaders } = await this.layout(at.topic, deadline, { patienceMs: 0 })
    const leader = leaders[at.partition]
    if (leader !== undefined && leader < 0)
      throw topicUnavailable(`${at.topic}-${at.partition}`, errorCode.LEADER_NOT_AVAILABLE)
    if (leader === undefined)
      throw new OutboxError('KAFKA_TOPIC_UNAVAILABLE', `${at.topic} has no partition ${at.partition}`, {
        details: { ...at, connections: undefined },
      })
    const connection = await (at.connections ?? this.queries).to(
      await this.address(leader, deadline),
      deadline,
    )
    return await deadline.race(connection.call(api, request))
  }

  async close(): Promise<void> {
    await Promise.all([this.queries.close(), this.fetches.close()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #noteFeatures({ features, featuresEpoch }: ApiVersionsAnswer): void {
    const readAtMs = performance.now()
    // Brokers learn of a change one after the other: the newest is what counts.
    this.#features =
      featuresEpoch < this.#features.epoch
        ? { ...this.#features, readAtMs }
        : { epoch: featuresEpoch, transactionVersion: transactionVersionOf(features), readAtMs }
  }

  /** In the background, one at a time, bounded; what fails is asked for again before the next transaction. */
  #readFeatures(): void {
    if (this.#readingFeatures !== undefined) return
    const deadline = new Deadline(this.options.requestTimeoutMs, 'reading the features of the cluster')
    this.#readingFeatures = this.askAny(apiVersions, thisSoftware, deadline)
      .then((answer) => this.#noteFeatures(answer))
      .catch(() => undefined)
      .finally(() => {
        deadline[Symbol.dispose]()
        this.#readingFeatures = undefined
      })
  }

  async #askMetadata(topics: readonly string[] | null, deadline: Deadline): Promise<MetadataAnswer> {
    const answer = await this.askAny(metadata, { topics }, deadline)
    this.#clusterId = answer.clusterId ?? ''
    this.#brokers.clear()
    for (const { nodeId, host, port } of answer.brokers) this.#brokers.set(nodeId, { host, port })
    return answer
  }
}

/** Another broker may be up, and may have a better certificate. */
const concernsOneBroker = (error: unknown): boolean =>
  OutboxError.is(error, 'KAFKA_UNAVAILABLE') || OutboxError.is(error, 'KAFKA_TLS_FAILED')

/** The layout, or the code that says why there is none yet. */
function readLayout(answer: MetadataAnswer, topic: string): TopicLayout | number {
  const found = answer.topics.find(({ name }) => name === topic)
  if (found === undefined) return errorCode.UNKNOWN_TOPIC_OR_PARTITION
  if (found.errorCode !== errorCode.NONE) return found.errorCode
  const leaders: number[] = []
  for (const { index, leaderId } of found.partitions) {
    // A partition without a leader has id -1: only whoever needs that partition has to care.
    leaders[index] = leaderId
  }
  return { topicId: found.topicId, leaders }
}

/** A topic cannot be had: it is not there, or this principal lacks the ACL that the request needs. */
export function topicUnavailable(
  topic: string,
  code: number,
  api: Pick<Api<never, unknown>, 'name' | 'needs'> = metadata,
): OutboxError {
  const denial = denialOf(`topic ${topic}`, api, code, { topic }, { topic })
  if (denial !== undefined) return new OutboxError('KAFKA_AUTHORIZATION_FAILED', denial.message, denial)
  return new OutboxError('KAFKA_TOPIC_UNAVAILABLE', `topic ${topic}: ${describeCode(code)}`, {
    details: { topic, code },
  })
}

function noCoordinator(kind: CoordinatorKind, key: string, code: number): OutboxError {
  const doing = `looking up the coordinator of ${kind === 'group' ? 'group ' : ''}${key}`
  const name = { [kind === 'group' ? 'groupId' : 'transactionalId']: key }
  const names = { [kind === 'group' ? 'group' : 'transactional-id']: key }
  const denial = denialOf(doing, findCoordinator, code, names, name)
  if (denial !== undefined) return new OutboxError('KAFKA_AUTHORIZATION_FAILED', denial.message, denial)
  return new OutboxError('KAFKA_UNAVAILABLE', `${doing}: ${describeCode(code)}`, {
    details: { ...name, code },
  })
}
