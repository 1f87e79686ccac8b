import type { Case } from '../case.js'
import { LogWriter } from '../ground/log-writer.js'
import type { Stage } from '../stage.js'
import { expectRead } from './expect-read.js'

interface ReadingCase {
  readonly name: string
  readonly promise: string
  /** Writes the log; returns what a read_committed reader must see of it. */
  readonly write: (writer: LogWriter) => Promise<readonly string[]>
}

const end = 'the end'

/** A log is written, and the client reads it: exactly what was committed, in order, once. */
const reading = ({ name, promise, write }: ReadingCase): Case => ({
  name,
  promise,
  async run(stage: Stage) {
    const topic = await stage.topic()
    await using writer = new LogWriter(stage.brokers, topic)
    const committed = await write(writer)
    await writer.plain(end)
    await expectRead(stage, topic, [...committed, end])
  },
})

export const twoAbortsOfOneProducer = reading({
  name: 'reading-two-aborts-of-one-producer',
  promise: 'Two aborted transactions of one producer lie in one fetch: neither is delivered.',
  async write(writer) {
    const producer = await writer.producer()
    for (const value of ['first aborted', 'second aborted', 'third aborted'])
      await (await (await producer.begin()).write(value)).abort()
    await (await (await producer.begin()).write('committed')).commit()
    return ['committed']
  },
})

// Together more than the 55 MiB of `fetch.max.bytes` that a broker hands out at once, whatever the client asks for.
const largeRecords = 64
const largeRecordBytes = 1_000_000

export const abortLargerThanAFetch = reading({
  name: 'reading-an-abort-larger-than-a-fetch',
  promise: 'An aborted transaction of 64 MB, more than a broker hands out in one fetch, is not delivered.',
  async write(writer) {
    const producer = await writer.producer()
    await (await (await producer.begin()).write('committed before')).commit()
    const aborted = await producer.begin()
    for (let number = 0; number < largeRecords; number++)
      await aborted.write(`aborted ${number}`, { bytes: largeRecordBytes })
    await aborted.abort()
    await (await (await producer.begin()).write('committed behind')).commit()
    return ['committed before', 'committed behind']
  },
})

export const overlappingAborts = reading({
  name: 'reading-overlapping-aborts',
  promise:
    'Aborted transactions of two producers overlap, and the one that began last ends first: neither is delivered.',
  async write(writer) {
    const [one, other] = [await writer.producer(), await writer.producer()]
    const outer = await (await one.begin()).write('outer, aborted, first')
    const inner = await (await other.begin()).write('inner, aborted, first')
    await inner.write('inner, aborted, second')
    await inner.abort()
    await outer.write('outer, aborted, second')
    await (await (await other.begin()).write('committed')).commit()
    await outer.abort()
    return ['committed']
  },
})

export const keyOfFourZeroBytes = reading({
  name: 'reading-a-key-of-four-zero-bytes',
  promise:
    'A record key of four zero bytes, as an abort marker has, does not end an aborted transaction, and is delivered where it was committed.',
  async write(writer) {
    const key = Buffer.alloc(4)
    const producer = await writer.producer()
    const aborted = await (await producer.begin()).write('aborted, with the key', { key })
    await aborted.write('aborted, behind the key')
    await aborted.abort()
    const committed = await (await producer.begin()).write('committed, with the key', { key })
    await committed.write('committed, behind the key')
    await committed.commit()
    return ['committed, with the key', 'committed, behind the key']
  },
})

export const lastStableOffset: Case = {
  name: 'reading-up-to-the-last-stable-offset',
  promise:
    'While a transaction is open nothing behind its first record is delivered; once it is committed, all of it is, in order.',
  async run(stage) {
    const topic = await stage.topic()
    await using writer = new LogWriter(stage.brokers, topic)
    const [one, other] = [await writer.producer(), await writer.producer()]
    await (await (await other.begin()).write('before')).commit()
    const open = await (await one.begin()).write('open')
    await (await (await other.begin()).write('behind')).commit()
    await writer.plain('outside of transactions')

    const reader = await stage.reader(topic)
    await reader.until('before')
    // It asks again, and is told that there is nothing it may see.
    using asked = stage.proxy.on({ answer: /^(Fetch|ListOffsets)$/, nth: 2 }, 'forward')
    await asked.fired
    const early = reader.values
    await open.write('open, too')
    await open.commit()
    await writer.plain(end)
    const expected = ['before', 'open', 'behind', 'outside of transactions', 'open, too', end]
    await expectRead(stage, topic, expected, { reader, early })
  },
}
