import { createHash } from 'node:crypto'

/** What every client sends. TransactionalDrain.java makes the same bytes, which the judge compares. */
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
  const source = Buffer.concat([key, Buffer.from(orderText(number))])
  return {
    source,
    key: source.subarray(0, key.length),
    value: source.subarray(key.length),
    id: randomId(`event ${number}`),
    time: timeOf(number),
  }
})

/** A millisecond apart. */
function timeOf(number: number): string {
  return new Date(Date.UTC(2026, 0) + number).toISOString()
}

/** An order as services write them: names that repeat, ids and amounts that do not. A compression finds both. */
function orderText(number: number): string {
  const dice = hashOf(`order ${number}`)
  const roll = (at: number): number => Number.parseInt(dice.slice(at, at + 4), 16)
  const text =
    `{"orderId":"${randomId(`order ${number}`)}","customerId":"${randomId(`customer ${number % keys}`)}",` +
    `"placedAt":"${timeOf(number)}",` +
    `"currency":"EUR","totalCents":${roll(0)},"items":[{"sku":"sku-${roll(4)}","quantity":${1 + (roll(8) % 9)},` +
    `"unitCents":${roll(12)}}],"note":"`
  return `${text.padEnd(valueBytes - 2, '.')}"}`
}

function hashOf(seed: string): string {
  return createHash('sha256').update(seed).digest('hex')
}

/** Looks random to a compression, and Java finds the same. */
function randomId(seed: string): string {
  return hashOf(seed).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5')
}

/** The next `count` events in transactions of `size`, from the first sample on. */
export function* inTransactions(count: number, size: number): Generator<readonly SampleEvent[]> {
  for (let sent = 0; sent < count; sent += size) {
    const start = sent % samples
    yield sampleEvents.slice(start, start + size)
  }
}
