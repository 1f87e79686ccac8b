/** One topic, one database, one output topic: where a mode under test reads, and where its effects are looked for. */
import {
  startConsumer,
  type ConsumerProcess,
  type ModeUnderTest,
  type ProgramSettings,
} from '@internal/contracts/consumers'
import { createTopic, randomName, sharedStack, type TestDatabase } from '@internal/stack'
import { createRedisDedup } from '@oncebox/consumer-dedup/redis'
import { connectKafka, readPartition, type ConsumedRecord } from '@oncebox/kafka'
import { createRelay } from '@oncebox/relay'
import { Redis } from 'ioredis'
import type pg from 'pg'
import {
  brokers,
  createInboxDatabase,
  createOrders,
  effects,
  eventually,
  compare,
  publish,
  type EffectRow,
  type Sent,
} from '../fixture.js'
import { effectConsumer, openPool, type OrdersConsumer } from '../positions.js'

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

export type Conduct = Partial<
  Pick<
    ProgramSettings,
    | 'batches'
    | 'options'
    | 'parking'
    | 'tiers'
    | 'failing'
    | 'killAtValue'
    | 'killInQueueAtValue'
    | 'killWhenInHand'
    | 'hangInQueueAtValue'
    | 'handlerMs'
    | 'group'
  >
>

interface Place {
  readonly topic: string
  readonly partition: number
  readonly offset: string
}

interface Letter {
  readonly id: string
  readonly attempts: number
  readonly place: Place
}

interface Try {
  readonly attempt: number
  readonly place: Place
  readonly origin: Place | null
  readonly atMs: number
}

export const headerOf = ({ headers }: ConsumedRecord, name: string): string =>
  String(headers.find(([one]) => one === name)?.[1])

export class Bed implements AsyncDisposable {
  readonly #mode: ModeUnderTest
  readonly #database: TestDatabase
  readonly #outputTopic: string
  readonly #redis = new Redis(sharedStack().redis.url, { lazyConnect: true })
  readonly #consumers: OrdersConsumer[] = []
  readonly orders: Awaited<ReturnType<typeof createOrders>>
  readonly deadLetterTopic: string
  readonly name = randomName('billing')
  readonly pool: pg.Pool

  static async open(mode: ModeUnderTest, partitions = 2): Promise<Bed> {
    const [database, orders, outputTopic, deadLetterTopic] = await Promise.all([
      createInboxDatabase(),
      createOrders(partitions),
      createTopic('effects'),
      createTopic('letters'),
    ])
    const bed = new Bed(mode, database, orders, outputTopic, deadLetterTopic)
    if (mode.mode === 'redis')
      await createRedisDedup({
        redis: bed.#redis,
        consumer: bed.name,
        retentionMs: 1_209_600_000,
        onAmnesia: 'stop',
      }).accept()
    return bed
  }

  private constructor(
    mode: ModeUnderTest,
    database: TestDatabase,
    orders: Awaited<ReturnType<typeof createOrders>>,
    outputTopic: string,
    deadLetterTopic: string,
  ) {
    this.#mode = mode
    this.#database = database
    this.#outputTopic = outputTopic
    this.orders = orders
    this.deadLetterTopic = deadLetterTopic
    this.pool = openPool(database.url)
  }

  /** Publishes what consumers put into the outbox; nothing where a mode has none. */
  async startRelay(): Promise<AsyncDisposable> {
    if (!this.#mode.remembersAttempts) return { [Symbol.asyncDispose]: () => Promise.resolve() }
    const relay = createRelay({
      name: this.name,
      db: { connectionString: this.#database.url },
      kafka: { brokers: brokers() },
      logger: silent,
    })
    await relay.start()
    return relay
  }

  publish(sent: readonly Sent[]): Promise<void> {
    return publish(this.orders, sent)
  }

  /**
   * A process with a consumer. A member that was killed keeps its group waiting for its session to time out. Where the
   * position belongs to the name, another group does not wait.
   */
  start(conduct: Conduct = {}, fault = ''): ConsumerProcess {
    const { mode, driver } = this.#mode
    const ownsPosition = mode === 'inbox' || mode === 'position'
    const { group = ownsPosition ? randomName('group') : this.name, options = {}, ...rest } = conduct
    return startConsumer(
      {
        mode,
        ...(driver === undefined ? {} : { driver }),
        url: this.#database.url,
        brokers: brokers(),
        redisUrl: sharedStack().redis.url,
        topic: this.orders.name,
        outputTopic: this.#outputTopic,
        name: this.name,
        group,
        options: {
          position: { eventsMax: 5 },
          sessionTimeoutMs: 1_500,
          heartbeatIntervalMs: 200,
          retry: { attemptsMax: 3, backoff: { minMs: 5, maxMs: 20 } },
          ...(ownsPosition ? {} : { deadLetterTopic: this.deadLetterTopic }),
          ...options,
        },
        ...rest,
      },
      fault,
    )
  }

  /** A consumer in this process, where the mode has a database. It is stopped with the bed. */
  consume(options: Parameters<typeof effectConsumer>[2] = {}): OrdersConsumer {
    const consumer = effectConsumer(this.orders, this.pool, {
      mode: this.#mode.mode === 'position' ? 'position' : 'inbox',
      name: this.name,
      ...options,
    })
    this.#consumers.push(consumer)
    return consumer
  }

  async effects(): Promise<EffectRow[]> {
    if (this.#mode.mode === 'redis')
      return (await this.#redis.lrange(`${this.name}:effects`, 0, -1)).map(
        (line) => JSON.parse(line) as EffectRow,
      ) // what the program writes
    if (this.#mode.mode !== 'kafka') return await effects(this.pool)
    return (await this.records(this.#outputTopic)).map(({ value }) => JSON.parse(String(value)) as EffectRow) // what the program sends
  }

  /** Ids of the dead letters. */
  async deadLetters(): Promise<string[]> {
    return (await this.letters()).map(({ id }) => id)
  }

  /** By id of the event. */
  async attemptsOfDeadLetters(): Promise<ReadonlyMap<string, number>> {
    return new Map((await this.letters()).map(({ id, attempts }) => [id, attempts]))
  }

  /** The dead letters, with where their events came in. */
  async letters(): Promise<readonly Letter[]> {
    if (this.#mode.remembersAttempts)
      return (
        await this.pool.query<Letter>(
          `select event_id as id, attempts,
                  jsonb_build_object('topic', topic, 'partition', partition, 'offset', "offset"::text) as place
             from inbox.parked where state = 'dead'`,
        )
      ).rows
    return (await this.records(this.deadLetterTopic)).map((record) => ({
      id: headerOf(record, 'ce_id'),
      attempts: Number(headerOf(record, 'oncebox-dlt-attempts')),
      place: {
        topic: headerOf(record, 'kafka_dlt-original-topic'),
        partition: Number(headerOf(record, 'oncebox-dlt-original-partition')),
        offset: headerOf(record, 'oncebox-dlt-original-offset'),
      },
    }))
  }

  /** The calls of a handler with this event, in their order. */
  async tries(id: string): Promise<readonly Try[]> {
    const columns = `attempt, place, origin, (extract(epoch from at) * 1000)::float8 as "atMs"`
    return (await this.pool.query<Try>(`select ${columns} from tries where id = $1 order by number`, [id]))
      .rows
  }

  /** Waits until every event has its effect, or, where effects may be lost, until nothing more comes. */
  async untilDone(sent: readonly Sent[]): Promise<void> {
    if (!this.#mode.mayLose)
      return await eventually(async () => compare(sent, await this.effects()).lost === 0)
    const last = sent.at(-1)
    await eventually(async () => (await this.effects()).some(({ id }) => id === last?.id))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#redis.disconnect()
    await Promise.all(this.#consumers.map((consumer) => consumer.stop({ timeoutMs: 1_000 })))
    await this.pool.end()
    await this.#database.drop()
  }

  /** What is in a topic. */
  async records(topic: string, partitions = 1): Promise<ConsumedRecord[]> {
    await using client = await connectKafka({ brokers: brokers() })
    const records: ConsumedRecord[] = []
    for (let partition = 0; partition < partitions; partition += 1)
      for await (const record of readPartition(client, { topic, partition })) records.push(record)
    return records
  }
}
