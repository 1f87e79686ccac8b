import { envelopeHeaders } from '@oncebox/core'
import { encodeHeader } from '@oncebox/kafka'

const hex = Buffer.from(
  Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''),
  'latin1',
)
const hyphensAfter = [3, 5, 7, 9]

// A header as Kafka frames it: varint name length, name, varint value length, value.
const idHeader = encodeHeader(envelopeHeaders.id, '00000000-0000-0000-0000-000000000000')
const timeHeader = encodeHeader(envelopeHeaders.time, '1970-01-01T00:00:00.000Z')
const idStart = idHeader.length - 36
const timeStart = idHeader.length + timeHeader.length - 24

/**
 * The two headers that differ in each event, id and time, written into one reused buffer. Sixteen bytes become the
 * text form of a UUID by table, and a time is formatted once a second: both were strings before, and cost as much as
 * all the rest of a record.
 */
export class EventHeaders {
  readonly bytes = Buffer.concat([idHeader, timeHeader])
  #second = Number.NaN

  /** @returns The buffer, valid until the next call. */
  write(row: Buffer, idAt: number, timestampMs: number): Buffer {
    this.#writeId(row, idAt)
    this.#writeTime(timestampMs)
    return this.bytes
  }

  #writeId(row: Buffer, idAt: number): void {
    const { bytes } = this
    let at = idStart
    for (let index = 0; index < 16; index++) {
      const digits = (row[idAt + index] ?? 0) * 2
      bytes[at++] = hex[digits] ?? 0
      bytes[at++] = hex[digits + 1] ?? 0
      if (hyphensAfter.includes(index)) at++
    }
  }

  #writeTime(timestampMs: number): void {
    const { bytes } = this
    const second = Math.floor(timestampMs / 1000)
    if (second !== this.#second) {
      bytes.write(new Date(second * 1000).toISOString(), timeStart, 'latin1')
      this.#second = second
    }
    const ms = timestampMs - second * 1000
    bytes[timeStart + 20] = 48 + Math.floor(ms / 100)
    bytes[timeStart + 21] = 48 + (Math.floor(ms / 10) % 10)
    bytes[timeStart + 22] = 48 + (ms % 10)
  }
}
