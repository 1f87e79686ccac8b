/** What every client sends; TransactionalDrain.java makes the same bytes. */
export interface SampleEvent {
  /** Key and value one after the other, as rows have them; `key` and `value` are parts of it. */
  readonly source: Buffer
  readonly key: Buffer
  readonly value: Buffer
  readonly id: string
  readonly time: string
}

/** The headers that all events share; `ce_id` and `ce_time` are each event's own. */
export const sharedHeaders = {
  ce_specversion: '1.0',
  ce_type: 'bench.happened',
  ce_source: 'bench',
  'content-type': 'application/json',
} as const

const samples = 10_000
const keys = 1_000
const valueBytes = 256

/** Made before the clock starts, and sent round and round. */
const sampleEvents: readonly SampleEvent[] = Array.from({ length: samples }, (_, number) => {
  const key = Buffer.from(`key-${number % keys}`)
  const value = Buffer.from(`${`{"n":${number},"filler":"`.padEnd(valueBytes - 2, 'x')}"}`)
  const source = Buffer.concat([key, value])
  const digits = String(number)
  return {
    source,
    key: source.subarray(0, key.length),
    value: source.subarray(key.length),
    id: `01990000-0000-7000-8000-${digits.padStart(12, '0')}`,
    time: `2026-01-01T00:00:0${digits.padStart(4, '0').replace(/^./, '$&.')}Z`,
  }
})

/** The next `count` events in transactions of `size`, from the first sample on. */
export function* inTransactions(count: number, size: number): Generator<readonly SampleEvent[]> {
  for (let sent = 0; sent < count; sent += size) {
    const start = sent % samples
    yield sampleEvents.slice(start, start + size)
  }
}
