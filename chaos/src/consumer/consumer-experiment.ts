import { modesUnderTest, type ModeUnderTest } from '@internal/contracts/consumers'
import { startStack } from '@internal/stack'
import { Redis } from 'ioredis'
import {
  wholeNumber,
  WrongUse,
  type Experiment,
  type ExperimentOptions,
  type Outcome,
} from '../experiment.js'
import { Publisher } from './publisher.js'
import { runSeed, type Ground, type SeedRun } from './run-seed.js'
import { tally, type Tally } from './tally.js'

// A process each; more than the machine has cores only slows all.
const atOnce = 3

/** Consumers of every mode, killed at every fault point and at other times, as a seed says. */
export const consumerExperiment: Experiment = {
  name: 'consumer',
  summary: 'consumers of every mode are killed in each of their crash windows, when and how a seed says',
  usage: `    --seeds N      runs of each mode; 20 unless given
    --first N      the first seed; 1 unless given
    --modes LIST   of ${modesUnderTest.map(({ name }) => name).join(', ')}; all unless given
`,
  run,
}

async function run({ values, say, signal }: ExperimentOptions): Promise<Outcome> {
  const seeds = wholeNumber('seeds', values['seeds'], 20, 1)
  const first = wholeNumber('first', values['first'], 1, 0)
  const modes = modesNamed(values['modes'])
  await using stack = await startStack({ services: ['postgres', 'kafka', 'redis'], signal })
  await using publisher = await Publisher.connect(stack.kafka.brokers)
  const client = new Redis(stack.redis.url, { lazyConnect: true })
  using _closed = { [Symbol.dispose]: () => client.disconnect() }
  const ground: Ground = {
    kafka: stack.kafka,
    serverUrl: stack.postgres.url,
    redis: { url: stack.redis.url, client },
    publisher,
    signal,
  }
  const startedMs = performance.now()
  const runs = new Map<ModeUnderTest, SeedRun[]>(modes.map((mode) => [mode, []]))
  const waiting = Array.from({ length: seeds }, (_, index) => first + index).flatMap((seed) =>
    modes.map((mode) => ({ mode, seed })),
  )
  const total = waiting.length
  let done = 0
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { mode, seed } = next
      const finished = await runSeed(ground, mode, seed).catch((error: unknown) => {
        throw new Error(`${mode.name}, seed ${seed}`, { cause: error })
      })
      runs.get(mode)?.push(finished)
      done += 1
      const { lost, doubled, reordered } = tally(mode, [finished])
      say(
        `${String(done).padStart(4)} of ${total}  ${mode.name}, seed ${seed}: ${finished.kills.length} kills, ${finished.sent.length} events, ${lost} lost, ${doubled} doubled, ${reordered} reordered`,
      )
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  const seconds = (performance.now() - startedMs) / 1_000
  return outcomeOf(
    modes.map((mode) => ({ ...tally(mode, runs.get(mode) ?? []), promise: promiseOf(mode) })),
    seconds,
  )
}

function modesNamed(list: string | undefined): readonly ModeUnderTest[] {
  if (list === undefined) return modesUnderTest
  return list.split(',').map((name) => {
    const mode = modesUnderTest.find((one) => one.name === name.trim())
    if (mode === undefined) throw new WrongUse(`--modes: there is no ${name.trim()}`)
    return mode
  })
}

const promiseOf = ({ mayLose, mayDouble }: ModeUnderTest): string =>
  mayLose ? 'at most once' : mayDouble ? 'at least once' : 'once'

type Row = Tally & { readonly promise: string }

function outcomeOf(rows: readonly Row[], seconds: number): Outcome {
  const ok = rows.every(({ broken }) => broken.length === 0)
  const line = (cells: readonly (string | number)[]): string =>
    cells.map((cell, index) => (index < 2 ? String(cell).padEnd(15) : String(cell).padStart(9))).join(' ')
  const lines = [
    line(['mode', 'promise', 'seeds', 'kills', 'events', 'lost', 'doubled', 'reordered', 'phantom']),
    ...rows.map(({ mode, promise, seeds, kills, events, lost, doubled, reordered, phantom }) =>
      line([mode, promise, seeds, kills, events, lost, doubled, reordered, phantom]),
    ),
    `${seconds.toFixed(0)} s`,
    ...rows
      .filter(({ broken }) => broken.length > 0)
      .map(({ mode, broken }) => `${mode} broke its promise with seed ${broken.join(', ')}`),
    ok ? 'every promise held' : 'a promise was broken',
  ]
  return {
    ok,
    lines,
    facts: { seconds, modes: rows },
  }
}
