import { channels, installFaultHandler, type FaultPoint } from '@oncebox/core'
import { createRelay } from '@oncebox/relay'
import { passed } from '../drained.js'
import { answer } from './child.js'
import { nowMs } from './clock.js'
import type { Batch } from './messages.js'

// The relay as it is, with the moments of each batch taken down. Nothing is read ahead under a trickle, so the moments
// are those of one batch.
const moments = new Map<FaultPoint, number>()
installFaultHandler((point) => void moments.set(point, nowMs()))
const at = (point: FaultPoint): number => moments.get(point) ?? Number.NaN
let batches: Batch[] = []
channels.relayPublished.subscribe((message) => {
  const { readMs, encodeMs, receipt } = message as {
    readonly readMs: number
    readonly encodeMs: number
    readonly receipt: {
      readonly placed: readonly {
        readonly topic: string
        readonly partition: number
        readonly baseOffset: bigint
        readonly lastOffset: bigint
      }[]
    }
  }
  const encodedMs = at('relay.window.taken')
  batches.push({
    placed: receipt.placed
      .filter(({ topic }) => topic === passed('BENCH_TOPIC'))
      .map(({ partition, baseOffset, lastOffset }) => ({
        partition,
        first: Number(baseOffset),
        last: Number(lastOffset),
      })),
    pollMs: encodedMs - encodeMs - readMs,
    readMs: encodedMs - encodeMs,
    encodedMs,
    producedMs: at('relay.produce.acked'),
    endSentMs: at('relay.endtxn.sent'),
    endedMs: at('relay.endtxn.acked'),
  })
})
// A doubt or a failure during a benchmark is worth seeing; the figure would hide it.
const tell = (fields: object, message: string): void => console.error(message, fields)
const relay = createRelay({
  name: passed('BENCH_NAME'),
  db: { connectionString: passed('BENCH_DATABASE_URL') },
  kafka: { brokers: passed('BENCH_BROKERS').split(',') },
  // Heard only while the writers notify; polls are the defaults.
  poll: { listen: true },
  logger: { info: () => undefined, warn: tell, error: tell },
})
await relay.start()

/** Answers with the batches since the last question. */
answer<object, readonly Batch[]>(
  () => {
    const all = batches
    batches = []
    return all
  },
  () => relay.stop(),
)
