import { randomUUID } from 'node:crypto'
import { readTopic } from '@internal/audit'
import {
  effectsList,
  startConsumer,
  type ConsumerProcess,
  type ModeUnderTest,
} from '@internal/contracts/consumers'
import { createDatabase, createTopic, randomName, type Stack } from '@internal/stack'
import { createRedisDedup } from '@oncebox/consumer-dedup/redis'
import { delay } from '@oncebox/core'
import type { Redis } from 'ioredis'
import pg from 'pg'
import { effectsTable, prepareDatabase } from './database.js'
import { planOf, type Life } from './plan.js'
import type { Publisher, Sent } from './publisher.js'

/** Where a run finds its services. */
export interface Ground {
  readonly kafka: Stack['kafka']
  readonly serverUrl: string
  readonly redis: { readonly url: string; readonly client: Redis }
  readonly publisher: Publisher
  readonly signal: AbortSignal
}

interface Seen {
  readonly id: string
  readonly key: string
  readonly value: number
}

export interface SeedRun {
  readonly seed: number
  readonly kills: readonly string[]
  readonly sent: readonly Sent[]
  /** Effects, in their order. */
  readonly effects: readonly Seen[]
}

const keys = 5
const partitions = 2
const settleMs = 120_000
const lookMs = 50

/** One consumer through all the lives of its plan, and one that is let live, to the end. */
export async function runSeed(ground: Ground, mode: ModeUnderTest, seed: number): Promise<SeedRun> {
  const { brokers } = ground.kafka
  const [topic, outputTopic] = await Promise.all([
    createTopic('chaos', { partitions, brokers }),
    createTopic('effects', { brokers }),
  ])
  await using database = await createDatabase({
    serverUrl: ground.serverUrl,
    template: { name: 'chaos-consumer', prepare: prepareDatabase },
  })
  const pool = new pg.Pool({ connectionString: database.url, max: 2 })
  const run = new Run(ground, mode, { topic, outputTopic, url: database.url, pool })
  try {
    await run.prepare()
    const kills: string[] = []
    for (const life of planOf(mode, seed)) kills.push(await run.live(life))
    await run.settle()
    return { seed, kills, sent: run.sent, effects: await run.effects() }
  } finally {
    await run.end()
    await pool.end()
  }
}

interface Place {
  readonly topic: string
  readonly outputTopic: string
  readonly url: string
  readonly pool: pg.Pool
}

class Run {
  readonly #ground: Ground
  readonly #mode: ModeUnderTest
  readonly #place: Place
  readonly #name = randomName('chaos')
  readonly sent: Sent[] = []
  #running: ConsumerProcess | undefined

  constructor(ground: Ground, mode: ModeUnderTest, place: Place) {
    this.#ground = ground
    this.#mode = mode
    this.#place = place
  }

  /** A Redis that a consumer has never seen is told that there is nothing to remember. */
  async prepare(): Promise<void> {
    if (this.#mode.mode !== 'redis') return
    const { client } = this.#ground.redis
    await createRedisDedup({
      redis: client,
      consumer: this.#name,
      retentionMs: 1_209_600_000,
      onAmnesia: 'stop',
    }).accept()
  }

  /** Publishes, starts, and waits for the death; more events come until it does. */
  async live(life: Life): Promise<string> {
    const { death, events, again } = life
    await this.#publish(events)
    if (again) await this.#ground.publisher.publish(this.#place.topic, this.sent.slice(-3))
    const one = this.#start(life, 'point' in death ? `${death.point}@${death.hit}:kill` : '')
    if ('afterMs' in death) {
      await Promise.race([one.started, one.ended])
      await delay(death.afterMs, this.#ground.signal) // the plan's choice: nothing to wait for
      one.kill('SIGKILL')
    } else {
      const deadline = AbortSignal.any([this.#ground.signal, AbortSignal.timeout(settleMs)])
      await Promise.race([one.started, one.ended])
      const dead = one.ended.then(() => true)
      while (!(await Promise.race([dead, delay(lookMs * 4, deadline).then(() => false)])))
        await this.#publish(2)
    }
    if ((await one.ended) !== 'SIGKILL')
      throw new Error(`the consumer ended by itself: ${JSON.stringify(life)}`)
    return 'point' in death ? `${death.point}@${death.hit}` : `${death.afterMs} ms after its start`
  }

  /** Lets a consumer live until every event has its effect; where effects may be lost, until the newest has. */
  async settle(): Promise<void> {
    await this.#publish(keys * partitions)
    const last = this.#start(undefined, '')
    const signal = AbortSignal.any([this.#ground.signal, AbortSignal.timeout(settleMs)])
    const ending = last.ended.then(() => Promise.reject(new Error('the last consumer ended by itself')))
    ending.catch(() => undefined)
    const wanted = this.#mode.mayLose ? this.sent.slice(-keys * partitions) : this.sent
    for (;;) {
      const there = new Set((await Promise.race([this.#soFar(), ending])).map(({ id }) => id))
      if (wanted.every(({ id }) => there.has(id))) break
      await delay(lookMs, signal)
    }
    last.kill('SIGTERM')
    const end = await last.ended
    if (end !== null) throw new Error(`the last consumer ended with ${end}`)
    this.#running = undefined
  }

  /** In `kafka` mode as Apache's own consumer reads them. */
  async effects(): Promise<Seen[]> {
    if (this.#mode.mode !== 'kafka') return await this.#soFar()
    const { kafka } = this.#ground
    const records = await readTopic({
      brokers: kafka.brokers,
      classpath: kafka.classpath,
      topic: this.#place.outputTopic,
      isolation: 'read_committed',
    })
    return records.map(({ value }) => JSON.parse(String(value)) as Seen) // what the program sends
  }

  async end(): Promise<void> {
    this.#running?.kill('SIGKILL')
    await this.#running?.ended
  }

  async #publish(count: number): Promise<void> {
    const events = Array.from({ length: count }, (_, index): Sent => {
      const value = this.sent.length + index
      return { id: randomUUID(), key: `key-${value % keys}`, value, time: new Date().toISOString() }
    })
    await this.#ground.publisher.publish(this.#place.topic, events)
    this.sent.push(...events)
  }

  #start(life: Life | undefined, fault: string): ConsumerProcess {
    const { mode, driver } = this.#mode
    const { kafka } = this.#ground
    const first = this.sent.length - (life?.events ?? 0)
    // A member that was killed keeps its group waiting. Where the position belongs to the name, another group does not wait.
    const group = mode === 'inbox' || mode === 'position' ? randomName('group') : this.#name
    const one = startConsumer(
      {
        mode,
        ...(driver === undefined ? {} : { driver }),
        url: this.#place.url,
        brokers: kafka.brokers,
        redisUrl: this.#ground.redis.url,
        topic: this.#place.topic,
        outputTopic: this.#place.outputTopic,
        name: this.#name,
        group,
        batches: life?.batches ?? false,
        ...(life === undefined || life.handlerMs === 0 ? {} : { handlerMs: life.handlerMs }),
        ...(life === undefined || life.failures === 0 ? {} : { failing: { [first]: life.failures } }),
        options: {
          position: { eventsMax: 4 },
          sessionTimeoutMs: 1_500,
          heartbeatIntervalMs: 200,
          retry: {
            attemptsMax: 20,
            backoff: { minMs: 5, maxMs: 20 },
            ...(this.#mode.remembersAttempts ? { killsMax: 20 } : {}),
          },
          ...(life === undefined ? {} : { batch: { eventsMax: life.eventsTogether } }),
        },
      },
      fault,
    )
    this.#running = one
    return one
  }

  async #soFar(): Promise<Seen[]> {
    if (this.#mode.mode === 'redis')
      return (await this.#ground.redis.client.lrange(effectsList(this.#name), 0, -1)).map(
        (line) => JSON.parse(line) as Seen, // what the program writes
      )
    if (this.#mode.mode === 'kafka') return await this.#ground.publisher.read<Seen>(this.#place.outputTopic)
    return (await this.#place.pool.query<Seen>(`select id, key, value from ${effectsTable} order by number`))
      .rows
  }
}
