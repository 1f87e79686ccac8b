/** Finds the end of one RESP value, however deep, without keeping any of it. */
import type { Measure } from '../framing.js'
import { protocolError } from '../proxy-error.js'

const bulkBytesMax = 536_870_912 // the server's proto-max-bulk-len
const countMax = 0x7fffffff
const lengthBytesMax = 32
const carriageReturn = 0x0d
const lineFeed = 0x0a

// What follows the line that begins with this byte: nothing, so many bytes, or so many values for each one counted.
const types: ReadonlyMap<number, 'line' | 'bulk' | 'array' | 'map' | 'attribute'> = new Map(
  (
    [
      ['+', 'line'],
      ['-', 'line'],
      [':', 'line'],
      ['_', 'line'],
      [',', 'line'],
      ['#', 'line'],
      ['(', 'line'],
      ['$', 'bulk'],
      ['!', 'bulk'],
      ['=', 'bulk'],
      ['*', 'array'],
      ['~', 'array'],
      ['>', 'array'],
      ['%', 'map'],
      ['|', 'attribute'],
    ] as const
  ).map(([character, follows]) => [character.charCodeAt(0), follows]),
)

export const isRespType = (byte: number | undefined): boolean => byte !== undefined && types.has(byte)

export function respMeasure(): Measure {
  let values = 1 // still to come, the one that has begun included
  let type: 'line' | 'bulk' | 'array' | 'map' | 'attribute' | undefined
  let length = ''
  let skip = 0 // bytes of a bulk string, its line end included

  /** Reads up to the end of the line; returns the index behind what it has read. */
  const readLine = (bytes: Buffer, from: number): number => {
    const feed = bytes.indexOf(lineFeed, from)
    const end = feed === -1 ? bytes.length : feed
    if (type !== 'line') {
      length += bytes.toString('latin1', from, Math.min(end, from + lengthBytesMax + 1))
      if (length.length > lengthBytesMax) throw protocolError('a RESP length without an end')
    }
    if (feed === -1) return end
    endLine()
    return feed + 1
  }
  const endLine = (): void => {
    switch (type) {
      case 'bulk': {
        const bytes = count(bulkBytesMax)
        if (bytes === -1) values -= 1
        else skip = bytes + 2
        break
      }
      case 'array':
        values += Math.max(0, count(countMax)) - 1
        break
      case 'map':
        values += 2 * Math.max(0, count(countMax)) - 1
        break
      case 'attribute': // comes before a value and is none
        values += 2 * Math.max(0, count(countMax))
        break
      case 'line':
      case undefined:
        values -= 1
        break
    }
    type = undefined
    length = ''
  }
  const count = (max: number): number => {
    const digits = length.charCodeAt(length.length - 1) === carriageReturn ? length.slice(0, -1) : length
    const value = /^(-1|\d+)$/.test(digits) ? Number(digits) : Number.NaN
    if (!(value <= max)) throw protocolError(`a RESP length of ${JSON.stringify(digits)}`)
    return value
  }

  return {
    end(bytes) {
      let at = 0
      while (at < bytes.length) {
        if (skip > 0) {
          const step = Math.min(skip, bytes.length - at)
          skip -= step
          at += step
          if (skip === 0) values -= 1
        } else if (type === undefined) {
          const byte = bytes[at]
          type = byte === undefined ? undefined : types.get(byte)
          if (type === undefined) throw protocolError(`a RESP value of type ${byte}`)
          at += 1
        } else {
          at = readLine(bytes, at)
        }
        if (values === 0) return at
      }
      return -1
    },
  }
}
