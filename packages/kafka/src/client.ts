/** What a service sees of a Kafka cluster: who it is and what its topics are. Sessions and readers take it as their first argument. */
export interface KafkaClient extends AsyncDisposable {
  /** Tells clusters apart: a mirrored cluster is another cluster. */
  readonly clusterId: string
  /**
   * A topic as a writer needs it, cached for the life of the client. A topic that was just created is waited for a few
   * seconds, or for `patienceMs`.
   *
   * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE when it does not exist or has no leaders, KAFKA_AUTHORIZATION_FAILED when
   *   this principal may not see it or its configuration
   */
  describeTopic(name: string, options?: DescribeOptions): Promise<TopicDescription>
  /**
   * As {@link describeTopic}, without the configuration: readers need no DescribeConfigs.
   * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED
   */
  identifyTopic(name: string, options?: DescribeOptions): Promise<TopicIdentity>
  /** Ends all connections, those of open sessions excepted. Safe to call twice. */
  close(): Promise<void>
}

export interface DescribeOptions {
  /** Ask the cluster again. */
  readonly refresh?: boolean
  /** How long a topic that is unknown or leaderless is waited for. Default 5,000; 0 to 300,000. */
  readonly patienceMs?: number
  readonly signal?: AbortSignal
}

export interface TopicIdentity {
  readonly name: string
  /** Canonical UUID text. A topic that is deleted and created again has another one. */
  readonly topicId: string
  readonly partitions: number
}

export interface TopicDescription extends TopicIdentity {
  /** `max.message.bytes`, which bounds a record batch. */
  readonly maxMessageBytes: number
}
