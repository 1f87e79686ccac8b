import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { eventOfJob, jobIdOf } from './job-id.js'

const invalid = expect.objectContaining({ code: 'CONSUMER_OPTIONS_INVALID' })
const word = fc.string({ minLength: 1, maxLength: 40, unit: 'binary' })

test('an event and its job id are found from each other, and BullMQ takes the id', () => {
  fc.assert(
    fc.property(word, word, (source, id) => {
      const jobId = jobIdOf({ source, id })
      expect(eventOfJob({ id: jobId })).toEqual({ source, id })
      expect(jobId).not.toContain(':')
      expect(String(Number.parseInt(jobId, 10))).not.toBe(jobId)
    }),
  )
  expect(jobIdOf({ source: 'orders', id: '42' })).toBe('42@orders')
})

test('what is no event makes no job id, and what is no such id no event', () => {
  for (const event of [
    { source: '', id: 'x' },
    { source: 'x', id: '' },
    { source: 'x', id: 'y'.repeat(1_025) },
    { source: 'x', id: '\ud800' },
  ])
    expect(() => jobIdOf(event)).toThrow(invalid)
  for (const id of [undefined, '', '42', 'a@', '@b', 'a@b@c', '%zz@orders'])
    expect(() => eventOfJob({ id })).toThrow(invalid)
})
