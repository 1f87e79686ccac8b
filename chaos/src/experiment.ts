/** A named fault experiment: starts its own services, breaks them while they work, and returns a verdict. */
export interface Experiment {
  readonly name: string
  readonly summary: string
  /** Its options, for the usage text. */
  readonly usage: string
  run(options: ExperimentOptions): Promise<Outcome>
}

export interface ExperimentOptions {
  /** Values of the options, as given on the command line. */
  readonly values: Readonly<Record<string, string | undefined>>
  /** Progress, one line each. */
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

export interface Outcome {
  readonly ok: boolean
  /** Printed when it is over. */
  readonly lines: readonly string[]
  /** Everything, for `--json`. */
  readonly facts: Readonly<Record<string, unknown>>
}

/** An option that is not what it should be: exit code 2. */
export class WrongUse extends Error {
  override readonly name = 'WrongUse'
}

/** A whole number of at least `min`. */
export function wholeNumber(name: string, value: string | undefined, byDefault: number, min: number): number {
  const number = value === undefined ? byDefault : Number(value)
  if (!Number.isInteger(number) || number < min)
    throw new WrongUse(`--${name} is ${value}: a whole number from ${min}`)
  return number
}
