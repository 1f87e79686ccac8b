/** A moment that a test waits for, or brings about. */
export interface Moment {
  readonly reached: Promise<void>
  reach(): void
}

export function moment(): Moment {
  let reach: () => void = () => undefined
  const reached = new Promise<void>((resolve) => (reach = resolve))
  return { reached, reach: () => reach() }
}
