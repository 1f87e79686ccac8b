import { fileURLToPath } from 'node:url'
import { createDatabase, createTopic, randomName, startStack } from '@internal/stack'
import { migrateInbox } from '@oncebox/consumer-dedup'
import { fromPg } from '@oncebox/outbox'
import pg from 'pg'
import { figure, type Benchmark, type Figure } from '../benchmark.js'
import { outputOf } from '../child-output.js'
import { describeDrained, rate, type Drained } from '../drained.js'
import { wholeNumber } from '../whole-number.js'
import { createEffects } from './effects.js'
import { toEnvironment, type Setting } from './settings.js'
import { WrongUse } from '../wrong-use.js'

/** Effects in a database, by our consumer and by the same statements written by hand, in turn. */
export const consumerBenchmark: Benchmark = {
  name: 'consumer',
  summary: 'effects in a database, per event and per batch, next to the same statements written by hand',
  async run(options) {
    const { say, signal } = options
    const events = wholeNumber(options, 'events', 400_000)
    const rounds = wholeNumber(options, 'rounds', 3)
    const only = options.values['only'] ?? ''
    const chosen = settings.filter((setting) => settingName(setting).includes(only))
    if (chosen.length === 0) throw new WrongUse(`--only ${only}: no setting has a name like this`)
    await using stack = await startStack({
      services: ['postgres', 'kafka'],
      signal,
      onProgress: (part, line) => say(`${part}: ${line}`),
    })
    const { brokers } = stack.kafka
    const topic = await createTopic('bench', { partitions, brokers })
    await outputOf({
      name: 'the writer',
      program: process.execPath,
      arguments: [script('./write-events.js')],
      environment: {
        BENCH_BROKERS: brokers.join(','),
        BENCH_TOPIC: topic,
        BENCH_EVENTS: String(Math.ceil(1.4 * events)),
      },
      signal,
    })
    const drains = new Map<string, Drained[]>()
    for (let round = 1; round <= rounds; round++)
      for (const setting of chosen)
        // In turn, and the other one first in every second round: the machine's speed drifts.
        for (const who of round % 2 === 1 ? contenders : contenders.toReversed()) {
          await using database = await createDatabase({
            serverUrl: stack.postgres.url,
            template: { name: topic, prepare },
          })
          const size =
            setting.per === 'batch'
              ? { events, warmUpEvents: Math.ceil(events / 4) }
              : {
                  events: Math.ceil((events * setting.concurrency) / 160),
                  warmUpEvents: Math.ceil(events / 400),
                }
          const output = await outputOf({
            name: who,
            program: process.execPath,
            arguments: [script(programs[who])],
            environment: toEnvironment({
              ...setting,
              ...size,
              brokers,
              topic,
              url: database.url,
              name: randomName('bench'),
            }),
            signal,
          })
          const drained = JSON.parse(output) as Drained // what report() writes
          const name = nameOf(who, setting)
          drains.set(name, [...(drains.get(name) ?? []), drained])
          say(`round ${round}: ${name.padEnd(nameWidth)} ${describeDrained(drained)}`)
        }
    return chosen.flatMap((setting) => figures(setting, drains))
  },
}

const partitions = 6
const contenders = ['ours', 'by hand'] as const
type Contender = (typeof contenders)[number]
const programs: Readonly<Record<Contender, string>> = {
  ours: './drain-with-ours.js',
  'by hand': './drain-by-hand.js',
}
const settings: readonly Setting[] = (['position', 'inbox'] as const).flatMap((mode) =>
  (['batch', 'event'] as const).flatMap((per) =>
    [1, partitions].map((concurrency) => ({ mode, per, concurrency })),
  ),
)

const script = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const settingName = ({ mode, per, concurrency }: Setting): string =>
  `${mode}, per ${per}, ${concurrency} at a time`
const nameOf = (who: Contender, setting: Setting): string => `${settingName(setting)}, ${who}`
const nameWidth = Math.max(...settings.map((setting) => nameOf('by hand', setting).length))

async function prepare(url: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: url })
  try {
    await migrateInbox(fromPg(pool))
    await pool.query(createEffects)
  } finally {
    await pool.end()
  }
}

/** Rates, their ratio in each round, and what they took. */
function figures(setting: Setting, drains: ReadonlyMap<string, readonly Drained[]>): Figure[] {
  const of = (who: Contender): readonly Drained[] => drains.get(nameOf(who, setting)) ?? []
  const byHand = of('by hand')
  return [
    ...contenders.map((who) => figure(nameOf(who, setting), 'effects/s', of(who).map(rate))),
    figure(
      `${settingName(setting)}, ours / by hand`,
      'x',
      of('ours').map((drained, round) => rate(drained) / rate(byHand[round] ?? drained)),
    ),
    figure(
      `${settingName(setting)}, ours, CPU per 100,000`,
      's',
      of('ours').map(({ cpuSeconds, events }) => (cpuSeconds / events) * 100_000),
    ),
    figure(
      `${settingName(setting)}, ours, memory`,
      'MB',
      of('ours').map(({ rssMb }) => rssMb),
    ),
  ]
}
