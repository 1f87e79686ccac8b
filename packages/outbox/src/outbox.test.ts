import { defineTopic, type AnyTopic, type Database } from '@oncebox/core'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { createOutbox } from './outbox.js'

const topic = (name: string, ...types: string[]): AnyTopic =>
  defineTopic(name, { events: Object.fromEntries(types.map((type) => [type, z.unknown()])) })

test.each(['', 'x'.repeat(256), 'a\nb', 'a\0b', '\u007f'])('source %j is refused', (source) => {
  expect(() => createOutbox({ source, topics: [topic('t', 'a')] })).toThrow(
    expect.objectContaining({ code: 'OUTBOX_OPTIONS_INVALID' }),
  )
})

test('an outbox needs topics, and an event type belongs to one of them', () => {
  expect(() => createOutbox({ source: 's', topics: [] })).toThrow(
    expect.objectContaining({ code: 'OUTBOX_OPTIONS_INVALID' }),
  )
  expect(() => createOutbox({ source: 's', topics: [topic('t', 'a', 'b'), topic('u', 'b')] })).toThrow(
    expect.objectContaining({ code: 'OUTBOX_EVENT_AMBIGUOUS', details: { type: 'b', topics: ['t', 'u'] } }),
  )
})

test('what createOutbox returns cannot be changed', () => {
  const outbox = createOutbox({ source: 's', topics: [topic('t', 'a')] })
  expect(Object.isFrozen(outbox) && Object.isFrozen(outbox.topics)).toBe(true)
})

const database: Database<object> = {
  driver: 'none',
  outside: { query: () => Promise.reject(new Error('not used')) },
  inside: () => ({ query: () => Promise.reject(new Error('nothing may be written')) }),
  transaction: async (work, options) => {
    const result = await work({})
    await options?.beforeCommit?.(database.inside({}))
    return result
  },
}

test('an unknown event type is refused before anything is written, also one that objects inherit', async () => {
  const outbox = createOutbox({ source: 's', topics: [topic('t', 'a')] })
  for (const type of ['b', 'toString', '__proto__']) {
    const attempt = outbox.transaction(database, async (_tx, emit) => emit(type, 1))
    await expect(attempt).rejects.toMatchObject({ code: 'OUTBOX_EVENT_UNKNOWN', details: { type } })
  }
})

test('one transaction emits a bounded number of events', async () => {
  const outbox = createOutbox({ source: 's', topics: [topic('t', 'a')] })
  const attempt = outbox.transaction(database, async (_tx, emit) => {
    for (let n = 0; n <= 100_000; n += 1) emit('a', null, { key: 'k' })
  })
  await expect(attempt).rejects.toMatchObject({ code: 'OUTBOX_TRANSACTION_TOO_LARGE' })
})
