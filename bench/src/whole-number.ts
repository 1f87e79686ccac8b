import type { BenchmarkOptions } from './benchmark.js'
import { WrongUse } from './wrong-use.js'

/** An option of the command line that is a whole number above 0. */
export function wholeNumber({ values }: BenchmarkOptions, name: string, fallback: number): number {
  const value = values[name]
  if (value === undefined) return fallback
  if (!/^[1-9]\d{0,8}$/.test(value))
    throw new WrongUse(`--${name} ${value}: it must be a whole number above 0`)
  return Number(value)
}
