/** The rules of one proxy, in the order in which they were added. */
import type { Action } from './action.js'
import type { Frame } from './frame.js'
import type { Framing } from './framing.js'
import { ActiveRule, type Match } from './rule.js'

export class Rules {
  readonly #framing: Framing
  readonly #rules = new Set<ActiveRule>()

  constructor(framing: Framing) {
    this.#framing = framing
  }

  add(match: Match, action: Action): ActiveRule {
    const rule = new ActiveRule(match, action, this.#framing, (removed) => this.#rules.delete(removed))
    this.#rules.add(rule)
    return rule
  }

  /** The first rule whose frame this is. Every other rule that matches counts it, too. */
  claim(frame: Frame): ActiveRule | undefined {
    let first: ActiveRule | undefined
    for (const rule of this.#rules) if (rule.claims(frame)) first ??= rule
    return first
  }

  removeAll(): void {
    for (const rule of this.#rules) rule.remove()
  }
}
