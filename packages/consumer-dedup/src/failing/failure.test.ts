import { OutboxError, PermanentError } from '@oncebox/core'
import { describe, expect, test } from 'vitest'
import {
  classifyCommitError,
  classifyHandlerError as classify,
  classifyOwnError,
  sqlState,
} from './failure.js'
import { resolveRetryRule } from './retry-rule.js'

const everything = resolveRetryRule({})
const classifyHandlerError = (error: unknown, rule = everything): string => classify(error, rule)
class Refused extends Error {}
class RefusedCard extends Refused {}
class Unreachable extends Error {}

const sqlError = (code: string): Error => Object.assign(new Error('refused'), { code })

describe('a failure', () => {
  test('of serialization or deadlock is run again, also as a cause', () => {
    expect(classifyHandlerError(new Error('wrapped', { cause: sqlError('40001') }))).toBe('again')
    expect(classifyCommitError(sqlError('40P01'))).toBe('again')
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

  test('is final when its class, its cause or a predicate is excluded, and nothing else', () => {
    const isGone = (error: unknown): boolean => error instanceof Error && error.message === 'gone'
    const rule = resolveRetryRule({ exclude: [Refused, isGone] })
    expect(classifyHandlerError(new RefusedCard('no money'), rule)).toBe('permanent')
    expect(classifyHandlerError(new Error('wrapped', { cause: new Refused('no') }), rule)).toBe('permanent')
    expect(classifyHandlerError(new Unreachable('gone'), rule)).toBe('permanent')
    expect(classifyHandlerError(new Unreachable('later'), rule)).toBe('attempt')
    expect(classifyHandlerError('a string', rule)).toBe('attempt')
    // The database asks for another run, whatever the handler makes of it.
    expect(classifyHandlerError(new Refused('deadlock', { cause: sqlError('40P01') }), rule)).toBe('again')
  })

  test('is final when nothing of it is included, or when it is excluded beside that', () => {
    const rule = resolveRetryRule({ include: [Unreachable, Refused], exclude: [RefusedCard] })
    expect(classifyHandlerError(new Unreachable('later'), rule)).toBe('attempt')
    expect(classifyHandlerError(new Error('wrapped', { cause: new Refused('no') }), rule)).toBe('attempt')
    expect(classifyHandlerError(new RefusedCard('no money'), rule)).toBe('permanent')
    expect(classifyHandlerError(new TypeError('a mistake'), rule)).toBe('permanent')
    const ring: Error = new Error('ring')
    ring.cause = ring
    expect(classifyHandlerError(ring, rule)).toBe('permanent')
  })

  test('is not final because a predicate breaks; what can never recognise an error is refused', () => {
    const rule = resolveRetryRule({
      exclude: [
        () => {
          throw new Error('a mistake of the predicate')
        },
      ],
    })
    expect(classifyHandlerError(new Refused('no'), rule)).toBe('attempt')
    class NoError {
      readonly message = 'no error'
    }
    for (const match of [NoError, 'Refused', undefined])
      // @ts-expect-error the types refuse it too, and JavaScript has none
      expect(() => resolveRetryRule({ exclude: [match] })).toThrow('neither a class of errors')
  })

  test('of the connection is nobody’s attempt', () => {
    expect(classifyCommitError(sqlError('57P01'))).toBe('unavailable')
    expect(classifyCommitError(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))).toBe('unavailable')
    expect(classifyCommitError(new OutboxError('OUTBOX_COMMIT_UNKNOWN', 'lost'))).toBe('unavailable')
  })

  test('of a statement of ours is nobody’s attempt, whatever it is', () => {
    expect(classifyOwnError(sqlError('40001'))).toBe('contended')
    for (const state of ['57014', '55P03', '57P01', '23505', '22001'])
      expect(classifyOwnError(sqlError(state))).toBe('unavailable')
    expect(classifyOwnError(new OutboxError('CONSUMER_DATABASE_REFUSED', 'no grant'))).toBe('stop')
    // What the handler has broken.
    expect(classifyOwnError(new OutboxError('OUTBOX_TRANSACTION_FAILED', 'an earlier one'))).toBe('attempt')
  })

  test('of COMMIT is an attempt when the transaction broke a rule of the schema', () => {
    expect(classifyCommitError(sqlError('23503'))).toBe('attempt')
    expect(classifyCommitError(new OutboxError('OUTBOX_COMMIT_ROLLED_BACK', 'rolled back'))).toBe('attempt')
  })

  test('has no SQLSTATE when its causes form a ring', () => {
    const error: Error & { cause?: unknown } = new Error('ring')
    error.cause = error
    expect(sqlState(error)).toBeUndefined()
  })
})
