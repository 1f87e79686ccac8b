import { readFile } from 'node:fs/promises'
import type { Figure } from './benchmark.js'

/** What a figure's median must reach, by benchmark and figure name. */
type Targets = Readonly<
  Record<string, Readonly<Record<string, { readonly min?: number; readonly max?: number }>>>
>

/** The figures that miss their target, as sentences. */
export async function missedTargets(benchmark: string, figures: readonly Figure[]): Promise<string[]> {
  const targets = JSON.parse(await readFile(new URL('../targets.json', import.meta.url), 'utf8')) as Targets
  return Object.entries(targets[benchmark] ?? {}).flatMap(([name, { min, max }]) => {
    const measured = figures.find((candidate) => candidate.name === name)
    if (measured === undefined) return [`${name} was not measured`]
    const missed = []
    if (min !== undefined && measured.median < min)
      missed.push(
        `${name}: median ${measured.median.toFixed(2)} ${measured.unit}, the target is at least ${min}`,
      )
    if (max !== undefined && measured.median > max)
      missed.push(
        `${name}: median ${measured.median.toFixed(2)} ${measured.unit}, the target is at most ${max}`,
      )
    return missed
  })
}
