/**
 * Redis, RESP2 and RESP3: an array of strings per command, one value per answer, in the order of the commands. Answers are
 * named after their commands; after SUBSCRIBE in RESP2, MONITOR or CLIENT REPLY they cannot be, and the names are wrong.
 */
import type { Conversation, Framing, Grammar, Measure, Start } from '../framing.js'
import { protocolError } from '../proxy-error.js'
import { isRespType, respMeasure } from './resp-measure.js'

const unansweredMax = 100_000
const lineBytesMax = 32
const commandBytesMax = 128
const lineFeed = 0x0a

export const redisFraming: Framing = {
  protocol: 'redis',
  repeatable: true, // unless the server asks for a password
  knows: (name) => /^[A-Z][A-Z0-9._-]*$/.test(name),
  converse,
}

function converse(): Conversation {
  const unanswered: string[] = []
  return {
    requests,
    answers: {
      start(bytes) {
        if (!isRespType(bytes[0])) throw protocolError(`a Redis answer of type ${bytes[0]}`)
        const pushed = bytes[0] === ascii('>')
        const name = (pushed ? undefined : unanswered.shift()) ?? 'PUSH'
        return { frame: { direction: 'answer', name, text: name }, measure: respMeasure() }
      },
    },
    sent({ name }) {
      if (name === '') return // an empty command has no answer
      if (unanswered.length === unansweredMax)
        throw protocolError(`${unansweredMax} commands without an answer`)
      unanswered.push(name)
    },
  }
}

const ascii = (character: string): number => character.charCodeAt(0)

const requests: Grammar = {
  start: (bytes) => (bytes[0] === ascii('*') ? multibulk(bytes) : inline(bytes)),
}

const command = (name: string, measure: Measure): Start => ({
  frame: { direction: 'request', name: name.toUpperCase(), text: name.toUpperCase() },
  measure,
})

/** `*2\r\n$3\r\nGET\r\n...` */
function multibulk(bytes: Buffer): Start | undefined {
  const count = numberAt(bytes, 0, '*')
  if (count === undefined) return undefined
  if (count.value <= 0) return command('', respMeasure())
  if (bytes.length === count.end) return undefined
  const length = numberAt(bytes, count.end, '$')
  if (length === undefined) return undefined
  if (length.value < 0 || length.value > commandBytesMax)
    throw protocolError(`a Redis command whose name has ${length.value} bytes`)
  const end = length.end + length.value
  return bytes.length < end ? undefined : command(bytes.toString('latin1', length.end, end), respMeasure())
}

function numberAt(bytes: Buffer, from: number, type: string): { value: number; end: number } | undefined {
  if (bytes[from] !== ascii(type)) throw protocolError(`a Redis command without ${type}`)
  const feed = bytes.indexOf(lineFeed, from)
  if ((feed === -1 ? bytes.length : feed) - from > lineBytesMax)
    throw protocolError('a Redis length without an end')
  if (feed === -1) return undefined
  const value = Number(bytes.toString('latin1', from + 1, feed).trimEnd())
  if (!Number.isInteger(value)) throw protocolError('a Redis length that is no number')
  return { value, end: feed + 1 }
}

/** A line as one would type it: `GET key`. */
function inline(bytes: Buffer): Start | undefined {
  const line = bytes.toString('latin1', 0, commandBytesMax + 1)
  const name = /^[^\s]*(?=\s)/.exec(line)?.[0]
  if (name === undefined && line.length > commandBytesMax)
    throw protocolError('a Redis line without a command')
  return name === undefined ? undefined : command(name, { end: (piece) => piece.indexOf(lineFeed) + 1 || -1 })
}
