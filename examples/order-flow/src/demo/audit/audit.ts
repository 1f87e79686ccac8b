/** The audit: business rows against topics and effects. It shares no code with the library that it judges. */
import { judge, readTopics, type TopicRecord, type Verdict } from '@internal/audit'
import { serviceNames } from '../programs.js'
import { topicNames, type World } from '../world.js'
import { committedEvents } from './events.js'
import { checkRules, type RuleResult } from './rules.js'
import { effectSightings, publishedSightings } from './sightings.js'
import { readTruth, type Truth } from './truth.js'

export interface AuditReport {
  readonly ok: boolean
  readonly verdict: Verdict
  readonly rules: readonly RuleResult[]
  readonly truth: Truth
}

/** The flow's topics, as Apache's Java consumer reads them. */
export async function readFlowTopics(
  { brokers, classpath, prefix }: World,
  signal?: AbortSignal,
): Promise<TopicRecord[]> {
  const topics = topicNames.map((name) => `${prefix}${name}`)
  const records = await readTopics({ brokers, classpath, topics, isolation: 'read_committed', signal })
  return [...records.values()].flat()
}

/** @param acknowledged The ids of the orders that the service has acknowledged over HTTP. */
export async function audit(
  world: World,
  records: readonly TopicRecord[],
  acknowledged: readonly string[],
): Promise<AuditReport> {
  const truth = await readTruth(world.pools)
  const verdict = judge({
    committed: committedEvents(truth),
    published: publishedSightings(records),
    effects: Object.fromEntries(
      serviceNames.map((service) => [service, effectSightings(truth.effects[service])]),
    ),
  })
  const rules = checkRules(truth, acknowledged)
  return { ok: verdict.ok && rules.every(({ broken }) => broken === 0), verdict, rules, truth }
}
