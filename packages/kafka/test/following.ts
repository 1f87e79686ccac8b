/** A fetch loop under observation, and producers of transactions for it to read. */
import { randomName } from '@internal/stack'
import { Kafka, logLevel, type Transaction } from 'kafkajs'
import { onTestFinished } from 'vitest'
import {
  startFetching,
  type FetchedBatch,
  type FetchLoop,
  type FetchLoopOptions,
  type KafkaClient,
  type PartitionAddress,
} from '../src/index.js'

export interface Followed {
  readonly loop: FetchLoop
  /** What was delivered, in that order. */
  readonly batches: readonly FetchedBatch[]
  readonly halted: readonly { readonly at: PartitionAddress; readonly error: unknown }[]
  /** Values of a partition, or of all. */
  values(partition?: number): string[]
  /** Resolves when it holds; it is looked at after each batch and each halt. */
  until(holds: () => boolean, timeoutMs?: number): Promise<void>
  /** Resolves when everything below the offset is delivered. */
  untilOffset(offset: bigint, partition?: number): Promise<void>
}

/** Starts a loop that remembers what it is told. `handle` runs before a batch counts as delivered. */
export function follow(
  client: KafkaClient,
  {
    handle,
    ...options
  }: Partial<FetchLoopOptions> & { handle?: (batch: FetchedBatch) => Promise<void> } = {},
): Followed {
  const batches: FetchedBatch[] = []
  const halted: { at: PartitionAddress; error: unknown }[] = []
  const watchers = new Set<() => void>()
  const told = (): void => watchers.forEach((watcher) => watcher())
  const loop = startFetching(client, {
    waitMsMax: 100,
    ...options,
    onBatch: async (batch) => {
      await handle?.(batch)
      batches.push(batch)
      told()
    },
    onHalted: (at, error) => {
      halted.push({ at, error })
      told()
    },
  })
  onTestFinished(() => loop.stop())
  const until = (holds: () => boolean, timeoutMs = 30_000): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        watchers.delete(look)
        const seen = batches.map(({ partition, fetchedOffset, nextOffset }) => [
          partition,
          fetchedOffset,
          nextOffset,
        ])
        reject(
          new Error(`not so within ${timeoutMs} ms: ${String(holds)}; seen ${seen.join(' ')}`, {
            cause: halted[0]?.error,
          }),
        )
      }, timeoutMs)
      function look(): void {
        if (!holds()) return
        clearTimeout(timer)
        watchers.delete(look)
        resolve()
      }
      watchers.add(look)
      look()
    })
  return {
    loop,
    batches,
    halted,
    values: (partition) =>
      batches
        .filter((batch) => partition === undefined || batch.partition === partition)
        .flatMap(({ records }) => records.map(({ value }) => String(value))),
    until,
    untilOffset: (offset, partition = 0) =>
      until(() => batches.some((batch) => batch.partition === partition && batch.nextOffset >= offset)),
  }
}

/** Transactions of an independent client, each of a producer of its own, so that they may overlap. */
export async function beginTransaction(brokers: readonly string[]): Promise<Transaction> {
  const kafka = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING, clientId: 'writer' })
  const producer = kafka.producer({
    transactionalId: randomName('writer'),
    idempotent: true,
    maxInFlightRequests: 1,
  })
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  return await producer.transaction()
}

/** Runs one question on an admin client. */
export async function ask<Answer>(
  brokers: readonly string[],
  question: (admin: ReturnType<Kafka['admin']>) => Promise<Answer>,
): Promise<Answer> {
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING, clientId: 'admin' }).admin()
  await admin.connect()
  try {
    return await question(admin)
  } finally {
    await admin.disconnect()
  }
}
