import { expect, test } from 'vitest'
import { isOfTopic, readNote, writeNote } from './offset-note.js'

const topicId = '0b56b2a4-56de-4ac5-8a1f-3c9d3ad3b1d0'

test('what a committed offset says is read back, also in its older form, and what others write says nothing', () => {
  expect(readNote({ metadata: writeNote({ topicId, partitions: 12 }) })).toEqual({ topicId, partitions: 12 })
  expect(readNote({ metadata: topicId })).toEqual({ topicId, partitions: 0 })
  for (const metadata of ['', 'by spring', `${topicId}/x`]) {
    expect(readNote({ metadata })).toBeUndefined()
    expect(isOfTopic({ metadata }, topicId)).toBe(true)
  }
  expect(isOfTopic({ metadata: writeNote({ topicId, partitions: 1 }) }, topicId)).toBe(true)
  expect(isOfTopic({ metadata: topicId }, topicId.replace('0', '1'))).toBe(false)
})
