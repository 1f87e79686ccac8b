/** What can go wrong with an event, in the words of the guarantees. */
export const anomalies = {
  lost: 'committed, and never seen',
  duplicated: 'seen more than once',
  reordered: 'seen after a later version of its key',
  phantom: 'seen, and never committed (or not meant for this consumer)',
  misplaced: 'in another partition than its key',
  corrupt: 'seen with another key or version than was committed',
} as const

export type Anomaly = keyof typeof anomalies

/** One anomaly, as small as it can be told. */
export interface Example {
  readonly id: string
  readonly key: string | null
  /** The sightings that show it, in their order; empty when there is none to show. */
  readonly timeline: readonly string[]
}

export interface Finding {
  readonly count: number
  /** The first few. */
  readonly examples: readonly Example[]
}

/** The verdict on one place: the topics, or the effects of one consumer. */
export type PlaceVerdict = Readonly<Record<Anomaly, Finding>> & {
  readonly place: string
  /** Events that had to show up here. */
  readonly expected: number
  /** Sightings, duplicates and phantoms included. */
  readonly seen: number
}

export interface Verdict {
  readonly ok: boolean
  readonly committed: number
  readonly places: readonly PlaceVerdict[]
  /** Sums over all places. */
  readonly totals: Readonly<Record<Anomaly, number>>
}

/** The anomalies of a verdict as lines for a person; nothing when there are none. */
export function describeVerdict({ places }: Pick<Verdict, 'places'>): string[] {
  return places.flatMap((place) =>
    anomalyNames.flatMap((anomaly) => {
      const { count, examples } = place[anomaly]
      if (count === 0) return []
      return [`${place.place}: ${count} ${anomaly} (${anomalies[anomaly]})`, ...examples.map(describeExample)]
    }),
  )
}

/** All anomalies, in the order of the table. */
export const anomalyNames = Object.keys(anomalies) as readonly Anomaly[] // the keys of the literal above

const describeExample = ({ id, key, timeline }: Example): string =>
  `  ${id}${key === null ? '' : ` (key ${key})`}${timeline.length === 0 ? '' : `: ${timeline.join(' -> ')}`}`
