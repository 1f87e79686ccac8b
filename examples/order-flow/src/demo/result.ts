/** What the demo found: the same as a table and as JSON. */
import { anomalyNames, describeVerdict, type Anomaly, type PlaceVerdict } from '@internal/audit'
import type { AuditReport } from './audit/audit.js'
import type { RuleResult } from './audit/rules.js'

interface Seconds {
  readonly setUp: number
  readonly traffic: number
  readonly audit: number
  readonly total: number
}

export interface DemoResult extends Readonly<Record<Anomaly, number>> {
  readonly ok: boolean
  readonly seed: number
  readonly orders: number
  readonly confirmed: number
  readonly declined: number
  readonly outOfStock: number
  /** Records in the topics. */
  readonly events: number
  readonly effects: number
  readonly drained: boolean
  readonly kills: number
  readonly killsOf: Readonly<Record<string, number>>
  /** Processes that ended by themselves and were started again. */
  readonly crashes: number
  readonly rules: readonly RuleResult[]
  readonly places: readonly PlaceVerdict[]
  readonly seconds: Seconds
}

export interface Run {
  readonly seed: number
  readonly drained: boolean
  readonly killsOf: Readonly<Record<string, number>>
  readonly crashes: number
  readonly seconds: Seconds
}

/** Puts the audit and the run together. */
export function toResult({ ok, verdict, rules, truth }: AuditReport, run: Run): DemoResult {
  const [topics, ...consumers] = verdict.places
  const ended = (reason: string): number =>
    truth.orders.filter((order) => order.state === 'cancelled' && order.reason === reason).length
  return {
    ok: ok && run.drained,
    ...run,
    orders: truth.orders.length,
    confirmed: truth.orders.filter(({ state }) => state === 'confirmed').length,
    declined: ended('declined'),
    outOfStock: ended('out-of-stock'),
    events: topics?.seen ?? 0,
    effects: consumers.reduce((sum, { seen }) => sum + seen, 0),
    kills: Object.values(run.killsOf).reduce((sum, count) => sum + count, 0),
    ...verdict.totals,
    rules,
    places: verdict.places,
  }
}

/** The table at the end of the demo, and what broke, if anything did. */
export function describeResult(result: DemoResult): string {
  const { places, rules, seconds } = result
  const header = ['', 'committed', 'seen', ...anomalyNames]
  const rows = places.map((place) => [
    placeName(place.place),
    place.expected,
    place.seen,
    ...anomalyNames.map((anomaly) => place[anomaly].count),
  ])
  const kills = Object.entries(result.killsOf).filter(([, count]) => count > 0)
  return [
    '',
    ...table([header, ...rows].map((row) => row.map(String))),
    '',
    ...rules.map(
      ({ rule, broken }) =>
        `${broken === 0 ? 'holds ' : 'BROKEN'}  ${rule}${broken === 0 ? '' : ` (${broken} times)`}`,
    ),
    ...(result.drained ? [] : ['BROKEN  everything is drained in the end']),
    '',
    `orders   ${result.orders}: ${result.confirmed} confirmed, ${result.declined} declined, ${result.outOfStock} out of stock and refunded`,
    `events   ${result.events} in the topics, read by Apache's Java consumer (read_committed)`,
    `effects  ${result.effects} in the append-only tables`,
    `kills    ${result.kills}${kills.length === 0 ? '' : `: ${kills.map(([name, count]) => `${name} ${count}`).join(', ')}`}`,
    ...(result.crashes === 0
      ? []
      : [`crashes  ${result.crashes}: processes that ended by themselves and were started again`]),
    `seconds  ${seconds.total} (set-up ${seconds.setUp}, traffic ${seconds.traffic}, audit ${seconds.audit})`,
    `seed     ${result.seed}`,
    '',
    ...describeVerdict({ places }),
    ...rules.flatMap(({ rule, examples }) => examples.map((example) => `${rule}: ${example}`)),
    result.ok ? 'Every promise held.' : 'A promise broke.',
    '',
  ].join('\n')
}

const placeName = (place: string): string => (place === 'topics' ? 'topics' : `${place} effects`)

/** Columns as wide as they need; the first to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  )
}
