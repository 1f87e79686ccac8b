import { Failed } from './verdict.js'

/**
 * What the client has said of a transaction. `open`: nothing yet, and nothing may be visible. `unknown` is an honest
 * answer: all or nothing may be there.
 */
export type Said = 'open' | 'committed' | 'not-committed' | 'unknown'

/** One transaction, as its user knows it. */
export interface Entry {
  readonly values: string[]
  said: Said
}

/** What a client has said of all of a case's transactions, to be compared with what is in the log. */
export class Ledger {
  readonly #entries: Entry[] = []

  begin(): Entry {
    const entry: Entry = { values: [], said: 'open' }
    this.#entries.push(entry)
    return entry
  }

  /**
   * Compares it with what a read_committed reader sees.
   * @throws Failed with the first thing that is wrong, the worst kind first
   */
  check(visible: readonly string[]): void {
    const seen = counted(visible)
    const claimed = (said: Said): ReadonlyMap<string, number> =>
      counted(this.#entries.filter((entry) => entry.said === said).flatMap(({ values }) => values))
    const [committed, unknown] = [claimed('committed'), claimed('unknown')]
    const sent = new Set(this.#entries.flatMap(({ values }) => values))
    const least = (value: string): number => committed.get(value) ?? 0
    const most = (value: string): number => least(value) + (unknown.get(value) ?? 0)
    const count = (value: string): number => seen.get(value) ?? 0

    refuse(
      'acknowledged, committed, not in the log',
      [...sent].filter((value) => count(value) < least(value)),
    )
    refuse(
      'not committed, as the client said itself, and visible',
      [...sent].filter((value) => most(value) === 0 && count(value) > 0),
    )
    refuse(
      'in the log more than once',
      [...sent].filter((value) => most(value) > 0 && count(value) > most(value)),
    )
    refuse(
      'in the log, and nobody sent it',
      [...seen.keys()].filter((value) => !sent.has(value)),
    )
    for (const { values, said } of this.#entries) {
      const missing = said === 'unknown' ? values.filter((value) => count(value) === least(value)) : []
      if (missing.length > 0 && missing.length < values.length)
        refuse('a part of a transaction is missing', missing)
    }
  }
}

const examplesMax = 3

function refuse(what: string, values: readonly string[]): void {
  if (values.length === 0) return
  const more = values.length > examplesMax ? ` and ${values.length - examplesMax} more` : ''
  throw new Failed(`${what}: ${quoted(values.slice(0, examplesMax))}${more}`)
}

export const quoted = (values: readonly string[]): string => values.map((value) => `"${value}"`).join(', ')

function counted(values: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}
