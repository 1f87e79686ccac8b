import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { RelayMetrics } from './relay-metrics.js'

const fromRoot = (file: string): string =>
  readFileSync(new URL(`../../../../${file}`, import.meta.url), 'utf8')

const metrics = new RelayMetrics('test').registry.getMetricsAsArray()
const names = metrics.map(({ name }) => name)
// A histogram is told as three series.
const series = [
  ...names,
  ...metrics.flatMap(({ name, type }) =>
    String(type) === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [],
  ),
]
const namedIn = (text: string): string[] => [...new Set(text.match(/\boncebox_relay_[a-z_]+\b/g))].sort()

interface Dashboard {
  readonly panels: readonly {
    readonly title: string
    readonly targets: readonly { readonly expr: string }[]
  }[]
}

test('the dashboard asks for metrics that a relay has, and shows each of them', () => {
  // Checked by what is asserted of it.
  const { panels } = JSON.parse(fromRoot('dashboards/grafana/oncebox-relay.json')) as Dashboard
  const asked = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => namedIn(expr)))
  expect(asked.filter((name) => !series.includes(name))).toEqual([])
  const shown = asked.map((name) => name.replace(/_bucket$/, ''))
  expect(names.filter((name) => !shown.includes(name))).toEqual([])
})

test('the reference lists the metrics of a relay, all of them and no others', () => {
  const table = fromRoot('docs/reference/events-and-metrics.md').matchAll(
    /^\| `(oncebox_relay_[a-z_]+)` \|/gm,
  )
  expect([...table].map(([, name]) => name).sort()).toEqual([...names].sort())
})

test('alarms and advice name metrics that exist', () => {
  const pages = ['monitoring', 'ready-for-production', 'takeover'].map((page) =>
    fromRoot(`docs/operations/${page}.md`),
  )
  expect(namedIn(pages.join('\n')).filter((name) => !series.includes(name))).toEqual([])
})
