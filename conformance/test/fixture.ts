import { fileURLToPath } from 'node:url'
import {
  cases,
  clientSources,
  play,
  startGround,
  type Client,
  type Ground,
  type Nodes,
  type Verdict,
} from '@oncebox/conformance'
import type { KafkaVersion } from '@internal/stack'

const never = new AbortController().signal

export const groundOf = (version: KafkaVersion, nodes: Nodes = 1): Promise<Ground> =>
  startGround(version, nodes, never)

export async function ours(): Promise<Client> {
  const [source] = clientSources
  if (source === undefined) throw new Error('there is no client')
  return await source.prepare({ wanted: true, say: () => undefined, signal: never })
}

/** A client that breaks a promise on purpose: a program in `mutants/`. */
export const mutant = (name: string): Client => ({
  name,
  version: '',
  nodeVersion: process.version,
  program: process.execPath,
  arguments: [fileURLToPath(new URL(`mutants/${name}.mjs`, import.meta.url))],
  environment: { KAFKAJS_NO_PARTITIONER_WARNING: '1' },
  settings: [],
  idsInTurn: 1,
  addsRecords: false,
})

/** Plays the case of that name. */
export async function verdictOn(
  name: string,
  client: Client,
  ground: Ground,
  stepWithinMs = 75_000,
): Promise<Verdict> {
  const played = cases.find((candidate) => candidate.name === name)
  if (played === undefined) throw new Error(`there is no case ${name}`)
  return await play(played, { client, ground, stepWithinMs, signal: never })
}
