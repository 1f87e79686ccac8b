import type { KafkaVersion } from '@internal/stack'
import type { Case } from './case.js'
import type { Client } from './client.js'
import { startGround, type Nodes } from './ground/ground.js'
import { play } from './play.js'
import type { Result } from './result.js'

export interface RunOptions {
  readonly clients: readonly Client[]
  readonly cases: readonly Case[]
  readonly kafkaVersions: readonly KafkaVersion[]
  /** Told before and after each case. */
  readonly onStart: (what: Omit<Result, 'verdict' | 'seconds'>) => void
  readonly onEnd: (result: Result) => void
  readonly trace?: (line: string) => void
  readonly signal: AbortSignal
}

const sizes: readonly Nodes[] = [1, 2, 3]

/** Every case with every client on every broker, one after another: faults are meant for one client only. */
export async function run(options: RunOptions): Promise<readonly Result[]> {
  const { cases, kafkaVersions } = options
  const results: Result[] = []
  for (const version of kafkaVersions)
    for (const nodes of sizes) {
      const played = cases.filter((one) => (one.nodes ?? 1) === nodes)
      if (played.length > 0) results.push(...(await runOn(version, nodes, { ...options, cases: played })))
    }
  const order = cases.map(({ name }) => name)
  return results.sort((one, other) => order.indexOf(one.case) - order.indexOf(other.case))
}

async function runOn(version: KafkaVersion, nodes: Nodes, options: RunOptions): Promise<readonly Result[]> {
  const { clients, cases, onStart, onEnd, trace, signal } = options
  const results: Result[] = []
  await using ground = await startGround(version, nodes, signal)
  for (const played of cases)
    for (const client of clients) {
      const what = { kafka: version, client: client.name, case: played.name }
      onStart(what)
      const startedMs = performance.now()
      const verdict = await play(played, { client, ground, signal, ...(trace && { trace }) })
      const result = { ...what, verdict, seconds: (performance.now() - startedMs) / 1_000 }
      onEnd(result)
      results.push(result)
    }
  return results
}
