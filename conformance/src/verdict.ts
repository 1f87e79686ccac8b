/** What a case says of a client. */
export type Verdict =
  | { readonly kind: 'pass'; readonly sentence?: string }
  /** A promise to the client's user was broken; the sentence says how. */
  | { readonly kind: 'fail'; readonly sentence: string }
  /** The client has no such feature. */
  | { readonly kind: 'unsupported'; readonly sentence: string }
  /** What the case is about cannot happen to this client. */
  | { readonly kind: 'not-applicable'; readonly sentence: string }
  /** The suite could not find out: says nothing about the client. */
  | { readonly kind: 'error'; readonly sentence: string }

/** Thrown by a case, and by whatever it uses, when the client breaks its promise. */
export class Failed extends Error {
  override readonly name = 'Failed'
}

export class NotSupported extends Error {
  override readonly name = 'NotSupported'
}

export class NotApplicable extends Error {
  override readonly name = 'NotApplicable'
}

/** What was thrown, as a verdict. */
export function verdictOf(error: unknown): Verdict {
  const sentence = error instanceof Error ? error.message : String(error)
  if (error instanceof Failed) return { kind: 'fail', sentence }
  if (error instanceof NotSupported) return { kind: 'unsupported', sentence }
  if (error instanceof NotApplicable) return { kind: 'not-applicable', sentence }
  return { kind: 'error', sentence }
}
