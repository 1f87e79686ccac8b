import type { Verdict } from '../verdict.js'

/** A verdict in a table. */
export const wordOf = ({ kind }: Verdict): string =>
  ({ pass: 'pass', fail: 'FAIL', unsupported: 'unsupported', 'not-applicable': 'n/a', error: 'ERROR' })[kind]
