import type { Background } from './mode.js'

/** Two works that begin and end together. */
export const together = (one: Background, other: Background): Background => ({
  stop: async () => void (await Promise.all([one.stop(), other.stop()])),
  abort: (reason) => {
    one.abort(reason)
    other.abort(reason)
  },
  get backends() {
    return [...one.backends, ...other.backends]
  },
})
