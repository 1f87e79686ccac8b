import type { SqlConnection } from '@oncebox/core'
import { decides, endZombies } from '../sql/end-zombies.js'

const looksInPatience = 4

/**
 * As withoutZombies, for statements that come one after the other, thousands a second: one timer for all of them. A zombie is
 * ended between one and one and a quarter times `patienceMs` after the statement that waits for it was sent.
 */
export class ZombieWatch {
  readonly #outside: SqlConnection
  readonly #patienceMs: number
  readonly #waiting = new Set<WaitingStatement>()
  #timer: NodeJS.Timeout | undefined

  constructor(outside: SqlConnection, patienceMs: number) {
    this.#outside = outside
    this.#patienceMs = patienceMs
  }

  /** A statement that begins with {@link decides} is sent. */
  begin(): WaitingStatement {
    const statement = { sinceMs: performance.now() }
    this.#waiting.add(statement)
    this.#timer ??= setInterval(() => this.#look(), this.#patienceMs / looksInPatience).unref()
    return statement
  }

  /** It is answered. Safe to call twice. */
  end(statement: WaitingStatement): void {
    this.#waiting.delete(statement)
  }

  #look(): void {
    if (this.#waiting.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    const now = performance.now()
    const late = [...this.#waiting].filter(({ sinceMs }) => now - sinceMs >= this.#patienceMs)
    if (late.length === 0) return
    for (const statement of late) statement.sinceMs = now // asked again
    this.#outside.query(endZombies, [decides, this.#patienceMs]).catch(() => undefined)
  }
}

export interface WaitingStatement {
  sinceMs: number
}
