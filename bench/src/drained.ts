/** What a drain, in a process of its own, reports as JSON on standard output. */
export interface Drained {
  readonly events: number
  readonly seconds: number
  readonly cpuSeconds: number
  /** The most it had in memory. */
  readonly rssMb: number
}

export const rate = ({ events, seconds }: Drained): number => events / seconds

export const describeDrained = (drained: Drained): string =>
  `${Math.round(rate(drained)).toLocaleString('en')} events/s, ${drained.cpuSeconds.toFixed(1)} s CPU, ${drained.rssMb.toFixed(0)} MB RSS`

/** Called in the drain's process when its last transaction is committed. */
export function report(events: number, startedMs: number, startedCpu: NodeJS.CpuUsage): void {
  const { user, system } = process.cpuUsage(startedCpu)
  const drained: Drained = {
    events,
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: (user + system) / 1e6,
    rssMb: process.resourceUsage().maxRSS / 2 ** 10,
  }
  process.stdout.write(JSON.stringify(drained))
}

/** A variable that the benchmark passes to the drain's process. */
export function passed(name: string): string {
  const value = process.env[name]
  if (value === undefined) throw new Error(`${name} is not set: drains are started by pnpm bench`)
  return value
}
