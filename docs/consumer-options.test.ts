import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

// Bounds that are checked in one place and told in another drift apart.

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

const sources = ['resolved-options.ts', 'parking/resolved-parking.ts', 'retrying/tiers.ts']

test('reference/consumer-options.md has each number that is checked, with its default and bounds', () => {
  const rows = read('docs/reference/consumer-options.md').split('\n')
  const checks = [
    ...sources
      .map((path) => read(`packages/consumer-dedup/src/${path}`))
      .join('\n')
      .matchAll(
        /within\(\s*'([\w.]+)(?: of (?:parkKey|retryTopics))?',([^)]*?),\s*(\d[\d_]*|[^,)]+),\s*(\d[\d_]*),\s*(\d[\d_]*|[^,)]+),?\s*\)/g,
      ),
  ]
  expect(checks.length).toBeGreaterThan(15)
  for (const [, name = '', , byDefault, min, max] of checks) {
    const row = rows.find((line) => line.startsWith('| `') && line.split(' | ')[0]?.includes(`\`${name}\``))
    expect(row, name).toBeDefined()
    for (const number of [byDefault, min, max].map(written))
      if (number !== undefined) expect(row, name).toContain(number)
  }
})

/** 10_000 as 10,000; undefined for an expression. */
function written(number = ''): string | undefined {
  return /^\d[\d_]*$/.test(number) ? Number(number.replaceAll('_', '')).toLocaleString('en-US') : undefined
}
