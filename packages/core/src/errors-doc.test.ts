import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { errorCodes } from './errors.js'
import { faultPoints } from './fault-points.js'

// Docs that fall behind the code are worse than none: an operator looks a code up in the middle of an incident.

const page = (name: string): string => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8')

test('docs/reference/errors.md has one entry for each code of the table, and no other', () => {
  const entries = [...page('reference/errors.md').matchAll(/^### (.+)$/gm)].map(([, heading]) => heading)
  expect([...entries].sort()).toEqual(Object.keys(errorCodes).sort())
})

test('each entry says what happened and what to do', () => {
  const [, ...entries] = page('reference/errors.md').split(/^### /m)
  for (const entry of entries) {
    expect(entry).toContain('**What happened.**')
    expect(entry).toContain('**What to do.**')
  }
})

test('docs/testing.md lists each fault point with the words of the table, and no other', () => {
  const [, ...rows] = page('testing.md').split(/^\| `(?=(?:outbox|relay|consumer|redis|bullmq)\.)/m)
  const listed = rows.map((row) => /^([a-z.]+)` \| (.+?) \|/.exec(row)?.slice(1))
  expect(Object.fromEntries(listed.flatMap((row) => (row === undefined ? [] : [row])))).toEqual(faultPoints)
})
