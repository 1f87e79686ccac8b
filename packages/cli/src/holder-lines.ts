import type { Holder } from '@oncebox/relay'
import { age, printable } from './table.js'

/** A line for each transaction that holds its events back; none when there is none. */
export function holderLines(holders: readonly Holder[]): string {
  if (holders.length === 0) return ''
  const lines = holders.map((holder) => `  ${describe(holder)}\n`)
  return `events wait for ${holders.length === 1 ? 'this transaction' : 'these transactions'} to end:\n${lines.join('')}`
}

function describe({ kind, pid, gid, ageMs, user, application, state, query }: Holder): string {
  const who = kind === 'prepared' ? `prepared transaction ${JSON.stringify(gid)}` : `pid ${pid}`
  return [
    who,
    ageMs === undefined ? 'age unknown: the role has no pg_read_all_stats' : age(ageMs),
    ...(user === undefined ? [] : [user]),
    ...(application === undefined ? [] : [application]),
    ...(state === undefined ? [] : [state]),
    ...(query === undefined ? [] : [printable(query)]),
  ].join(', ')
}
