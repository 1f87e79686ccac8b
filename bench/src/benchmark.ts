/** A named benchmark: sets up its own services, measures in interleaved rounds, returns figures. */
export interface Benchmark {
  readonly name: string
  readonly summary: string
  /** Under which name bench/targets.json has the targets of a run with these options; the benchmark's own unless given. */
  readonly targets?: (values: BenchmarkOptions['values']) => string
  run(options: BenchmarkOptions): Promise<readonly Figure[]>
}

export interface BenchmarkOptions {
  /** Values of options the benchmark knows, as given on the command line. */
  readonly values: Readonly<Record<string, string | undefined>>
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** One measured quantity over the rounds of one run. Absolute figures wander with the machine; compare ratios. */
export interface Figure {
  readonly name: string
  readonly unit: string
  readonly min: number
  readonly median: number
  readonly max: number
  readonly rounds: number
}

export function figure(name: string, unit: string, samples: readonly number[]): Figure {
  const sorted = [...samples].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median =
    sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
  return { name, unit, min: sorted[0] ?? 0, median, max: sorted.at(-1) ?? 0, rounds: sorted.length }
}
