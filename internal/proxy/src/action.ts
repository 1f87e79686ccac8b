/** What a rule does with a frame that it matches. */
export type Action = PassingAction | KeepingAction

export type PassingAction =
  /** Passes it on: the rule only observes. */
  | 'forward'
  /** Swallows it; what comes behind it passes. */
  | 'drop'
  /** Resets the connection, both sides, instead of passing it on. */
  | 'cut-before'
  /** Passes it on, then cuts: who is sent the frame can read it and finds the end behind it, the sender is reset. */
  | 'cut-after'
  /** Passes it and all that is behind it on after so many milliseconds. */
  | { readonly delayMs: number }

export type KeepingAction =
  /** Keeps it until `deliver()`; what comes behind it passes. */
  | 'hold'
  /** Passes it on, and keeps a copy for `deliver()`. */
  | 'duplicate-later'

export interface Plan {
  readonly delayMs: number
  readonly pass: boolean
  readonly keep: boolean
  readonly cut: 'before' | 'after' | 'never'
}

export const passing: Plan = { delayMs: 0, pass: true, keep: false, cut: 'never' }

const plans = {
  forward: passing,
  drop: { ...passing, pass: false },
  'cut-before': { ...passing, pass: false, cut: 'before' },
  'cut-after': { ...passing, cut: 'after' },
  hold: { ...passing, pass: false, keep: true },
  'duplicate-later': { ...passing, keep: true },
} as const satisfies Record<Exclude<Action, object>, Plan>

export const planOf = (action: Action): Plan =>
  typeof action === 'string' ? plans[action] : { ...passing, delayMs: action.delayMs }
