import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { redactQuery } from './redact-query.js'

test.for([
  ['insert into users values ($1, $2)', 'insert into users values ($1, $2)'],
  ["update events_1 set a = 'x''y', b = 42.5 where c = -7", 'update events_1 set a = ?, b = ? where c = -?'],
  ["alter role app password 'hunter2'", 'alter role app password ?'],
  ['select /* hunter2 */ 1 -- hunter2\n  from t', 'select ? from t'],
  ['select $$hunter2$$, $tag$hunter2 $$ $tag$ from "my""table"', 'select ?, ? from "my""table"'],
  ["select 'hunter2 that the server has cut", 'select ?'],
  ['select 1 /* hunter2 that the server has cut', 'select ?'],
  ["select E'it\\'s hunter2'", 'select E?…'],
  ['select 1 /* a /* b */ hunter2 */', 'select ?…'],
] as const)('%s', ([query, shape]) => {
  expect(redactQuery(query)).toBe(shape)
})

test('nothing of a value is ever left, however it is quoted and wherever the server cuts the statement off', () => {
  const secret = 'hunter'
  const quoted = fc
    .tuple(fc.string(), fc.string(), fc.constantFrom('plain', 'escape', 'dollar', 'comment'))
    .map(([before, after, kind]) => {
      const text = `${before}${secret}${after}`
      if (kind === 'plain') return `'${text.replaceAll("'", "''")}'`
      if (kind === 'escape') return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
      if (kind === 'dollar') return `$q$${text.replaceAll('$', '')}$q$`
      return `/* ${text.replaceAll('/', '').replaceAll('*', '')} */`
    })
  fc.assert(
    fc.property(fc.array(quoted, { minLength: 1, maxLength: 4 }), fc.nat(120), (values, cutAt) => {
      const query = `select ${values.join(', ')} from t`
      expect(redactQuery(query)).not.toContain(secret)
      expect(redactQuery(query.slice(0, cutAt))).not.toContain(secret)
    }),
    { numRuns: 500 },
  )
})

test('a long statement is cut', () => {
  expect(redactQuery(`select ${'a, '.repeat(1_000)} b`)).toHaveLength(201)
})
