import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { channels, type HandlingMessage, type MarksKeptMessage } from '@oncebox/core'
import type { PartitionLag } from './lag/partition-lag.js'

type EventMessage = Pick<HandlingMessage, 'consumer' | 'topic'>
interface LagMessage {
  readonly consumer: string
  readonly partitions: readonly PartitionLag[]
}
type Listener = Parameters<(typeof channels.consumerHandled)['subscribe']>[0]

const ageSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3_600]

/**
 * Counts what the consumers of this process do, in `registry`, until it is disposed of: metrics named `oncebox_consumer_*`. Told
 * by the diagnostics channels, so it may be called before or after the consumers are made.
 *
 * @example
 * collectConsumerMetrics(registry)
 */
export function collectConsumerMetrics(registry: Registry): Disposable {
  const registers = [registry]
  const events = new Counter({
    name: 'oncebox_consumer_events_total',
    help: 'Events that were brought to an end, by outcome',
    labelNames: ['consumer', 'topic', 'outcome'],
    registers,
  })
  const retries = new Counter({
    name: 'oncebox_consumer_retries_total',
    help: 'Failed attempts that are tried again',
    labelNames: ['consumer', 'topic'],
    registers,
  })
  const age = new Histogram({
    name: 'oncebox_consumer_event_age_seconds',
    help: 'Age of an event, since it was emitted, when its effect was committed',
    labelNames: ['consumer', 'topic'],
    buckets: ageSeconds,
    registers,
  })
  const partitions = new Gauge({
    name: 'oncebox_consumer_partitions',
    help: 'Partitions that the consumer has',
    labelNames: ['consumer'],
    registers,
  })
  const lag = new Gauge({
    name: 'oncebox_consumer_lag',
    help: 'Offsets between the position of a partition and the last stable one, markers of transactions included',
    labelNames: ['consumer', 'topic', 'partition'],
    registers,
  })
  const repositioned = new Counter({
    name: 'oncebox_consumer_repositioned_total',
    help: 'Positions that were given up and read again',
    labelNames: ['consumer', 'topic'],
    registers,
  })
  const restarted = new Counter({
    name: 'oncebox_consumer_restarted_total',
    help: 'Times that something of Kafka was away and was tried again',
    labelNames: ['consumer'],
    registers,
  })
  const parked = new Counter({
    name: 'oncebox_consumer_parked_total',
    help: 'Events that were parked: they failed, or came behind one of their key that did',
    labelNames: ['consumer', 'topic'],
    registers,
  })
  const waiting = new Gauge({
    name: 'oncebox_consumer_parked_events',
    help: 'Parked events that wait',
    labelNames: ['consumer'],
    registers,
  })
  const waitingKeys = new Gauge({
    name: 'oncebox_consumer_parked_keys',
    help: 'Keys with parked events that wait',
    labelNames: ['consumer'],
    registers,
  })
  const emptied = new Counter({
    name: 'oncebox_consumer_mark_days_emptied_total',
    help: 'Days of dedup marks that were emptied by this process',
    labelNames: ['consumer'],
    registers,
  })
  const oldestMarks = new Gauge({
    name: 'oncebox_consumer_marks_oldest_seconds',
    help: 'Age of the oldest day of dedup marks that is kept',
    labelNames: ['consumer'],
    registers,
  })
  const failed = new Counter({
    name: 'oncebox_consumer_failed_total',
    help: 'Consumers that stopped by themselves',
    labelNames: ['consumer'],
    registers,
  })
  const told = new Map<string, readonly Parameters<typeof lag.remove>[0][]>()
  const count =
    (outcome: string): Listener =>
    (message) => {
      const { consumer, topic } = message as EventMessage // what report.ts publishes, here and below
      events.inc({ consumer, topic, outcome })
    }
  const subscriptions: readonly (readonly [keyof typeof channels, Listener])[] = [
    ['consumerHandled', count('handled')],
    ['consumerDuplicate', count('duplicate')],
    ['consumerSkipped', count('skipped')],
    ['consumerDeadLettered', count('dead-lettered')],
    ['consumerUnparked', count('unparked')],
    ['consumerForwarded', count('forwarded')],
    [
      'consumerParked',
      (message) => {
        const { consumer, topic } = message as EventMessage
        parked.inc({ consumer, topic })
      },
    ],
    [
      'consumerParking',
      (message) => {
        const depth = message as { readonly consumer: string; readonly keys: number; readonly events: number }
        waiting.set({ consumer: depth.consumer }, depth.events)
        waitingKeys.set({ consumer: depth.consumer }, depth.keys)
      },
    ],
    [
      'consumerHandled',
      (message) => {
        const { consumer, topic, ageMs } = message as EventMessage & { readonly ageMs: number }
        age.observe({ consumer, topic }, ageMs / 1_000)
      },
    ],
    [
      'consumerRetrying',
      (message) => {
        const { consumer, topic } = message as EventMessage
        retries.inc({ consumer, topic })
      },
    ],
    [
      'consumerAssigned',
      (message) => {
        const assigned = message as { readonly consumer: string; readonly partitions: readonly unknown[] }
        partitions.set({ consumer: assigned.consumer }, assigned.partitions.length)
      },
    ],
    [
      'consumerLag',
      (message) => {
        const { consumer, partitions: lags } = message as LagMessage
        for (const labels of told.get(consumer) ?? []) lag.remove(labels) // those that it has not any more
        told.set(
          consumer,
          lags.map(({ topic, partition, lag: behind }) => {
            const labels = { consumer, topic, partition }
            lag.set(labels, behind)
            return labels
          }),
        )
      },
    ],
    [
      'consumerMarksKept',
      (message) => {
        const kept = message as MarksKeptMessage
        emptied.inc({ consumer: kept.consumer }, kept.emptied)
        oldestMarks.set({ consumer: kept.consumer }, kept.oldestMs / 1_000)
      },
    ],
    [
      'consumerRepositioning',
      (message) => {
        const { consumer, topic } = message as EventMessage
        repositioned.inc({ consumer, topic })
      },
    ],
    ['consumerRestarting', (message) => restarted.inc({ consumer: consumerOf(message) })],
    ['consumerFailed', (message) => failed.inc({ consumer: consumerOf(message) })],
  ]
  for (const [name, listener] of subscriptions) channels[name].subscribe(listener)
  return {
    [Symbol.dispose]: () => {
      for (const [name, listener] of subscriptions) channels[name].unsubscribe(listener)
    },
  }
}

const consumerOf = (message: unknown): string => (message as { readonly consumer: string }).consumer
