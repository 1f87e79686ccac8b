import { OutboxError } from '@oncebox/core'

/** A class of errors, its subclasses included, or what recognises an error. */
export type ErrorMatch = (abstract new (...args: never[]) => Error) | ((error: unknown) => boolean)

/** Which errors of a handler are tried again. */
export interface RetryRule {
  readonly include: readonly ErrorMatch[] | undefined
  readonly exclude: readonly ErrorMatch[]
}

// A chain of causes may be a ring.
const causesMax = 8

/**
 * @param given `retry` of the options.
 * @throws OutboxError CONSUMER_OPTIONS_INVALID
 */
export function resolveRetryRule({ include, exclude = [] }: Partial<RetryRule>): RetryRule {
  for (const [list, matches] of Object.entries({ include: include ?? [], exclude }))
    for (const match of matches) if (!isErrorClass(match) && !isPredicate(match)) throw unusable(list, match)
  return { include, exclude }
}

/** Whether no attempt can help an event whose handler threw this: the error, and each of its causes, is looked at. */
export function isFinal(error: unknown, { include, exclude }: RetryRule): boolean {
  if (include === undefined && exclude.length === 0) return false
  const chain = chainOf(error)
  const isOneOf = (matches: readonly ErrorMatch[]): boolean =>
    matches.some((match) => chain.some((one) => recognises(match, one)))
  return isOneOf(exclude) || (include !== undefined && !isOneOf(include))
}

function chainOf(error: unknown): readonly unknown[] {
  const chain: unknown[] = []
  for (let current = error; current !== undefined && chain.length < causesMax;) {
    chain.push(current)
    current =
      typeof current === 'object' && current !== null && 'cause' in current ? current.cause : undefined
  }
  return chain
}

/** One that throws does not recognise the error: the event keeps the attempts that it has. */
function recognises(match: ErrorMatch, error: unknown): boolean {
  if (isErrorClass(match)) return error instanceof match
  try {
    return match(error)
  } catch {
    return false
  }
}

const isErrorClass = (match: ErrorMatch): match is abstract new (...args: never[]) => Error =>
  match === Error || (typeof match === 'function' && match.prototype instanceof Error)

// What JavaScript may give: a class of something else is called without new, and throws each time.
const isPredicate = (match: unknown): boolean =>
  typeof match === 'function' && !/^class\b/.test(Function.prototype.toString.call(match))

const unusable = (list: string, match: unknown): OutboxError =>
  new OutboxError(
    'CONSUMER_OPTIONS_INVALID',
    `${String(match).slice(0, 40)} in retry.${list} is neither a class of errors nor a function that recognises one`,
  )
