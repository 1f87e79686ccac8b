import { OutboxError, PermanentError } from '@oncebox/core'
import { describe, expect, test } from 'vitest'
import { classifyDatabaseError, classifyHandlerError, sqlState } from './failure.js'

const sqlError = (code: string): Error => Object.assign(new Error('refused'), { code })

describe('a failure', () => {
  test('of serialization or deadlock is run again, also as a cause', () => {
    expect(classifyHandlerError(new Error('wrapped', { cause: sqlError('40001') }))).toBe('again')
    expect(classifyDatabaseError(sqlError('40P01'))).toBe('again')
  })

  test('of the handler is an attempt, also when another service refused its connection', () => {
    expect(
      classifyHandlerError(Object.assign(new Error('no payment service'), { code: 'ECONNREFUSED' })),
    ).toBe('attempt')
    expect(classifyHandlerError(sqlError('23505'))).toBe('attempt')
  })

  test('is final when the handler says so', () => {
    expect(classifyHandlerError(new PermanentError('no customer'))).toBe('permanent')
  })

  test('of the connection is nobody’s attempt', () => {
    expect(classifyDatabaseError(sqlError('57P01'))).toBe('unavailable')
    expect(classifyDatabaseError(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))).toBe(
      'unavailable',
    )
    expect(classifyDatabaseError(new OutboxError('OUTBOX_COMMIT_UNKNOWN', 'lost'))).toBe('unavailable')
  })

  test('of COMMIT is an attempt when the transaction broke a rule of the schema', () => {
    expect(classifyDatabaseError(sqlError('23503'))).toBe('attempt')
    expect(classifyDatabaseError(new OutboxError('OUTBOX_COMMIT_ROLLED_BACK', 'rolled back'))).toBe('attempt')
  })

  test('has no SQLSTATE when its causes form a ring', () => {
    const error: Error & { cause?: unknown } = new Error('ring')
    error.cause = error
    expect(sqlState(error)).toBeUndefined()
  })
})
