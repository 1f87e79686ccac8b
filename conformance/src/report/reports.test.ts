import { expect, test } from 'vitest'
import type { Client } from '../client.js'
import type { Result } from '../result.js'
import { markdown } from './markdown.js'
import { table } from './table.js'

const results: readonly Result[] = [
  { kafka: '4.3', client: 'ours', case: 'restart', verdict: { kind: 'pass' }, seconds: 1 },
  {
    kafka: '4.3',
    client: 'theirs',
    case: 'restart',
    verdict: { kind: 'fail', sentence: 'refused with <SOME_CODE>' },
    seconds: 2,
  },
  {
    kafka: '4.3',
    client: 'ours',
    case: 'late-endtxn',
    verdict: { kind: 'not-applicable', sentence: 'no EndTxn is sent' },
    seconds: 1,
  },
]

test('the table has a row for each case, a column for each client, and a sentence for whatever is no pass', () => {
  expect(table(results).split('\n')).toEqual([
    'Kafka 4.3    ours  theirs',
    'restart      pass  FAIL',
    'late-endtxn  n/a',
    '  theirs, restart: FAIL: refused with <SOME_CODE>',
    '  ours, late-endtxn: n/a: no EndTxn is sent',
    '',
  ])
})

test('the report names versions and settings, and takes no sentence for markup', () => {
  const clients = ['ours', 'theirs'].map((name): Client => ({
    name,
    version: `${name} 1.2.3`,
    nodeVersion: 'v20.1.0',
    program: '',
    arguments: [],
    settings: ['one', 'two'],
    idsInTurn: 1,
    addsRecords: true,
  }))
  const page = markdown({ at: new Date('2026-01-02T03:04:05Z'), clients, results })
  expect(page).toContain('on 2026-01-02')
  expect(page).toContain('| theirs | theirs 1.2.3 | 20.1.0 | one; two |')
  expect(page).toContain('| restart | pass | **FAIL** |')
  expect(page).toContain('- restart: **FAIL**, refused with \\<SOME\\_CODE\\>')
})
