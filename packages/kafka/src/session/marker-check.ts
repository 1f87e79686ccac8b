import { nextDelayMs } from '@oncebox/core'
import type { BrokerConnection } from '../broker-connection.js'
import type { BrokerConnections } from '../broker-connections.js'
import type { Cluster } from '../cluster.js'
import type { Deadline } from '../deadline.js'
import { KafkaFailure } from '../kafka-failure.js'
import { mayPass, openTransactions, type PartitionAddress } from '../partition-offsets.js'
import type { ActiveProducer } from '../protocol/describe-producers.js'

const retry = { minMs: 5, maxMs: 250 }

/**
 * Kafka 4.3 acknowledges a transaction whose marker it skips on a partition without a leader (KAFKA-20734). The next
 * abort of that producer on the partition would then destroy records that were acknowledged, and the next commit would
 * bring back records that were aborted. So a partition is looked at before a session first uses it, and again when the
 * connection to its leader is another one than at its last use: no transaction of this session may be open there.
 */
export class MarkerCheck {
  readonly #cluster: Cluster
  /** To the leaders, as the session produces. */
  readonly #connections: BrokerConnections
  readonly #usedOver = new Map<string, BrokerConnection>()
  /** Every producer id that this session has had: one whose epochs are used up is replaced. */
  readonly #producerIds = new Set<bigint>()

  constructor(cluster: Cluster, connections: BrokerConnections) {
    this.#cluster = cluster
    this.#connections = connections
  }

  /** Counts a producer id among this session's own. */
  own(producerId: bigint): void {
    this.#producerIds.add(producerId)
  }

  get producerIds(): readonly bigint[] {
    return [...this.#producerIds]
  }

  /** The partitions that have to be looked at before they are used: none, as a rule, which takes no request to find out. */
  doubtful(partitions: readonly PartitionAddress[]): readonly PartitionAddress[] {
    return partitions.filter((at) => {
      const connection = this.#usedOver.get(nameOf(at))
      return connection === undefined || connection !== this.#leaderConnection(at)
    })
  }

  /**
   * Looks at the partitions, and again while a marker may still be on its way.
   * @throws KafkaFailure KAFKA_TRANSACTION_TORN when one of them still has an open transaction of ours after
   *   `patienceMs`; OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_UNAVAILABLE
   */
  async prove(
    partitions: readonly PartitionAddress[],
    deadline: Deadline,
    patienceMs: number,
  ): Promise<void> {
    await Promise.all(partitions.map((at) => this.#proveOne(at, deadline, patienceMs)))
  }

  async #proveOne(at: PartitionAddress, deadline: Deadline, patienceMs: number): Promise<void> {
    const patientUntilMs = performance.now() + patienceMs
    for (let attempt = 1; ; attempt++) {
      const connection = await this.#connect(at, deadline)
      const open = await openTransactions(this.#cluster, at, deadline, {
        patienceMs: patientUntilMs - performance.now(),
      })
      const torn = open.find(({ producerId }) => this.#producerIds.has(producerId))
      if (torn === undefined) {
        // Looked at over another connection, but after this one stood: it has not missed anything since.
        if (connection !== undefined) this.#usedOver.set(nameOf(at), connection)
        return
      }
      if (performance.now() >= patientUntilMs) throw tornTransaction(at, torn)
      await deadline.delay(nextDelayMs(retry, attempt))
    }
  }

  /** The connection over which the partition would be written to now, without asking anybody. */
  #leaderConnection(at: PartitionAddress): BrokerConnection | undefined {
    const address = this.#cluster.knownLeader(at)
    return address === undefined ? undefined : this.#connections.opened(address)
  }

  /** Opens it; undefined when it is not to be had, which whoever produces to it says better. */
  async #connect(at: PartitionAddress, deadline: Deadline): Promise<BrokerConnection | undefined> {
    try {
      await this.#cluster.layout(at.topic, deadline, { patienceMs: 0 })
      const address = this.#cluster.knownLeader(at)
      return address === undefined ? undefined : await this.#connections.to(address, deadline)
    } catch (error) {
      if (deadline.expired || !mayPass(error)) throw error
      return undefined
    }
  }
}

const nameOf = ({ topic, partition }: PartitionAddress): string => `${partition}:${topic}`

function tornTransaction(
  { topic, partition }: PartitionAddress,
  { producerId, producerEpoch, transactionStartOffset }: ActiveProducer,
): KafkaFailure {
  const offset = String(transactionStartOffset)
  return new KafkaFailure(
    'KAFKA_TRANSACTION_TORN',
    'not-committed',
    `${topic}-${partition}: producer ${producerId} is ours, and its transaction from offset ${offset} on is over, but not on this partition: its marker was skipped (KAFKA-20734)`,
    { details: { topic, partition, producerId: String(producerId), producerEpoch, offset } },
  )
}
