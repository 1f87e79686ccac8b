/** History to verdict: pure, one pass over each place, nothing assumed about how the events got there. */
import type { CommittedEvent, History, Sighting } from './history.js'
import { anomalyNames, type Anomaly, type Example, type PlaceVerdict, type Verdict } from './verdict.js'

const examplesMax = 3

/** Compares what was committed with what the topics and the consumers' effects show. */
export function judge({ committed, published, effects = {} }: History): Verdict {
  const truth = new Map(committed.map((event) => [event.id, event]))
  if (truth.size !== committed.length)
    throw new Error('the ground truth names an event twice, so nothing can be judged by it')
  const places = [
    ...(published === undefined ? [] : [judgePlace('topics', truth, published)]),
    ...Object.entries(effects).map(([consumer, seen]) =>
      judgePlace(consumer, expectedOf(truth, consumer), seen),
    ),
  ]
  const totals = Object.fromEntries(
    anomalyNames.map((anomaly) => [anomaly, places.reduce((sum, place) => sum + place[anomaly].count, 0)]),
  ) as Record<Anomaly, number> // fromEntries forgets that all names are there
  return { ok: anomalyNames.every((anomaly) => totals[anomaly] === 0), committed: truth.size, places, totals }
}

type Truth = ReadonlyMap<string, CommittedEvent>

const expectedOf = (truth: Truth, consumer: string): Truth =>
  new Map([...truth].filter(([, { consumers }]) => consumers === undefined || consumers.includes(consumer)))

class Tally {
  count = 0
  readonly examples: Example[] = []

  add(example: () => Example): void {
    this.count += 1
    if (this.examples.length < examplesMax) this.examples.push(example())
  }
}

function judgePlace(place: string, truth: Truth, seen: readonly Sighting[]): PlaceVerdict {
  const tallies = Object.fromEntries(anomalyNames.map((anomaly) => [anomaly, new Tally()])) as Record<
    Anomaly,
    Tally
  > // as above
  const note = (anomaly: Anomaly, { id, key }: Pick<Sighting, 'id' | 'key'>, ...timeline: Sighting[]): void =>
    tallies[anomaly].add(() => ({ id, key, timeline: timeline.map(show) }))

  const firstOf = new Map<string, Sighting>()
  // Per key, the first sighting with the highest version so far, and the partition it began in.
  const newestOf = new Map<string, { sighting: Sighting; version: number }>()
  const homeOf = new Map<string, Sighting>()

  for (const sighting of seen) {
    const event = truth.get(sighting.id)
    if (event === undefined) {
      note('phantom', sighting, sighting)
      continue
    }
    if (sighting.key !== event.key || sighting.version !== event.version) note('corrupt', event, sighting)
    const home = homeFor(event, sighting, homeOf)
    if (home !== undefined && home.partition !== sighting.partition)
      note('misplaced', event, ...home.witness, sighting)
    const first = firstOf.get(event.id)
    if (first !== undefined) {
      note('duplicated', event, first, sighting)
      continue // a late copy is one anomaly, not two
    }
    firstOf.set(event.id, sighting)
    if (event.key === null) continue
    const newest = newestOf.get(event.key)
    if (newest === undefined || event.version >= newest.version)
      newestOf.set(event.key, { sighting, version: event.version })
    else note('reordered', event, newest.sighting, sighting)
  }
  for (const event of truth.values()) if (!firstOf.has(event.id)) note('lost', event)
  return { place, expected: truth.size, seen: seen.length, ...tallies }
}

/** The partition that an event belongs in: the one that the truth names, else where its key was first seen. */
function homeFor(
  event: CommittedEvent,
  sighting: Sighting,
  homeOf: Map<string, Sighting>,
): { partition: number | undefined; witness: Sighting[] } | undefined {
  if (sighting.partition === undefined) return undefined
  if (event.partition !== undefined) return { partition: event.partition, witness: [] }
  if (event.key === null) return undefined
  const first = homeOf.get(event.key)
  if (first === undefined) homeOf.set(event.key, sighting)
  return first === undefined ? undefined : { partition: first.partition, witness: [first] }
}

const show = ({ at, id, version }: Sighting): string => `${at} ${id} v${version}`
