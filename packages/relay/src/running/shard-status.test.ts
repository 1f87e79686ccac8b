import { expect, test } from 'vitest'
import { OutboxError } from '@oncebox/core'
import { StatusBoard, troubleOf } from './shard-status.js'

const refused = (topic: string): OutboxError =>
  new OutboxError('RELAY_TOPIC_UNAVAILABLE', `topic ${topic} cannot be used`, { details: { topic } })

test('a shard is halted since the first refusal, not since the last attempt', () => {
  const board = new StatusBoard(3)
  expect(board.status).toMatchObject({ shard: 3, state: 'opening' })
  expect(board.enter('publishing')).toBe(true)
  expect(board.enter('halted', refused('audit'))).toBe(true)
  const { since } = board.status
  expect(board.enter('halted', refused('audit'))).toBe(false)
  expect(board.status).toEqual({
    shard: 3,
    state: 'halted',
    since,
    why: {
      code: 'RELAY_TOPIC_UNAVAILABLE',
      message: 'topic audit cannot be used',
      remedy: expect.stringContaining('create the topic') as string,
      topic: 'audit',
    },
  })
  expect(board.enter('halted', refused('ledger'))).toBe(true)
  expect(board.enter('publishing')).toBe(true)
  expect(board.status.why).toBeUndefined()
})

test('an error that is not ours is told by its code, when it has one', () => {
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
  expect(troubleOf(reset)).toEqual({ code: 'ECONNRESET', message: 'read ECONNRESET' })
  expect(troubleOf('what')).toEqual({ code: 'UNKNOWN', message: 'what' })
})

test('an event is named by topic, key and id', () => {
  const details = { id: 'e1', seq: '7', topic: 'orders', key: 'k' }
  const error = new OutboxError('RELAY_EVENT_UNPUBLISHABLE', 'too large', { details })
  expect(troubleOf(error)).toMatchObject({ topic: 'orders', key: 'k', eventId: 'e1' })
})
