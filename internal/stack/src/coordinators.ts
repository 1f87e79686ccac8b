/**
 * Where the coordinators of groups and of transactions are: with the leaders of two internal topics. Kafka spreads
 * those over all brokers when it first needs them; created before, they stay where they are put.
 */
import { internalPartitions } from './services/kafka-settings.js'
import { createNamedTopic } from './topic.js'

const internalTopics = ['__consumer_offsets', '__transaction_state']

// As Kafka creates them itself.
const config = {
  'cleanup.policy': 'compact',
  'compression.type': 'uncompressed',
  'unclean.leader.election.enable': 'false',
  'min.insync.replicas': '1',
  'segment.bytes': '104857600',
}

/** Puts every coordinator on one broker of a new cluster, with no replica elsewhere. */
export const placeCoordinators = async (brokers: readonly string[], nodeId: number): Promise<void> => {
  const assignment = Array.from({ length: internalPartitions }, () => [nodeId])
  await Promise.all(internalTopics.map((topic) => createNamedTopic(topic, { brokers, assignment, config })))
}
