/** What happened, told by witnesses that do not share a line of code with the thing under test. */

/** An event that the business rows say was committed. */
export interface CommittedEvent {
  /** Names the event in the rows, the topic and the effects alike, e.g. `order 7 version 3`. */
  readonly id: string
  /** The ordering key. `null`: no order is promised. */
  readonly key: string | null
  /** Goes up under the key's row lock: the true order of the key's events. */
  readonly version: number
  /** Where the topic must hold it, if that is known. */
  readonly partition?: number
  /** The consumers that must show its effect. Absent: all of them. */
  readonly consumers?: readonly string[]
}

/** An event as it showed up in a topic, or its effect in an append-only table. */
export interface Sighting {
  readonly id: string
  readonly key: string | null
  readonly version: number
  readonly partition?: number
  /** Where to look: `orders-3@17`, `mails row 5`. */
  readonly at: string
}

/** Sightings are listed in the order of their place: offset order within a partition, insertion order in a table. */
export interface History {
  /** Ground truth. Ids are unique. */
  readonly committed: readonly CommittedEvent[]
  /** The topics, read by an outside program. Absent: not judged. */
  readonly published?: readonly Sighting[]
  /** Consumer name to its effects. */
  readonly effects?: Readonly<Record<string, readonly Sighting[]>>
}
