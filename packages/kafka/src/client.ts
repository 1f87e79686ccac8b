/** What a service sees of a Kafka cluster: who it is and what its topics are. Sessions and readers take it as their first argument. */
export interface KafkaClient extends AsyncDisposable {
  /** Tells clusters apart: a mirrored cluster is another cluster. */
  readonly clusterId: string
  /**
   * A topic, cached for the life of the client. A topic that was just created is waited for a few seconds.
   *
   * @param options.refresh Ask the cluster again.
   * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE when it does not exist, has no leaders, or this principal may not see it
   */
  describeTopic(
    name: string,
    options?: { readonly refresh?: boolean; readonly signal?: AbortSignal },
  ): Promise<TopicDescription>
  /** Ends all connections, those of open sessions excepted. Safe to call twice. */
  close(): Promise<void>
}

export interface TopicDescription {
  readonly name: string
  /** Canonical UUID text. A topic that is deleted and created again has another one. */
  readonly topicId: string
  readonly partitions: number
  /** `max.message.bytes`, which bounds a record batch; Kafka's default when this principal may not read it. */
  readonly maxMessageBytes: number
}
