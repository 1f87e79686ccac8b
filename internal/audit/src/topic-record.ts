/** A record of a topic, as an outside program saw it. */
export interface TopicRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly headers: ReadonlyMap<string, string | null>
  readonly value: Buffer | null
}
