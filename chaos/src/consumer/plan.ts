import type { ModeUnderTest } from '@internal/contracts/consumers'
import type { FaultPoint } from '@oncebox/core'
import { Random } from './random.js'

/** One life of a consumer process. */
export interface Life {
  /** Where it is killed, at which hit; or when, in milliseconds after it has started. */
  readonly death: { readonly point: FaultPoint; readonly hit: number } | { readonly afterMs: number }
  /** Events that are published before it starts. */
  readonly events: number
  /** One handler for batches. */
  readonly batches: boolean
  readonly eventsTogether: number
  /** How long the handler takes. */
  readonly handlerMs: number
  /** Whether the last events are published a second time. */
  readonly again: boolean
  /** How often the handler fails on one of the events. */
  readonly failures: number
}

const anyTime = 2

/** What happens to a consumer: killed once at each of its fault points, and at other times. */
export function planOf(mode: ModeUnderTest, seed: number): readonly Life[] {
  const random = new Random(seed)
  const deaths: Life['death'][] = [
    ...mode.points.map((point) => ({ point, hit: random.between(1, 4) })),
    ...Array.from({ length: anyTime }, () => ({ afterMs: random.between(0, 600) })),
  ]
  return random.shuffled(deaths).map((death) => {
    const batches = mode.takesBatches && random.next() < 0.5
    return {
      death,
      events: random.between(8, 24),
      batches,
      eventsTogether: batches || (mode.takesBatches && random.next() < 0.5) ? random.between(2, 9) : 1,
      handlerMs: random.next() < 0.5 ? 0 : random.between(1, 5),
      again: mode.knowsIds && random.next() < 0.5,
      failures: mode.retries && random.next() < 0.4 ? random.between(1, 2) : 0,
    }
  })
}
