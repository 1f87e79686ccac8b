/** PostgreSQL, protocol 3: a start-up packet without a type, then messages of a type and a length. */
import type { Direction } from '../frame.js'
import type { Conversation, Framing, Start } from '../framing.js'
import { endless, sized } from '../measures.js'
import { protocolError } from '../proxy-error.js'
import { answerNames, isMessageName, requestNames } from './postgres-messages.js'

const headBytes = 5
const startupHeadBytes = 8
const startupBytesMax = 10_000 // the server's MAX_STARTUP_PACKET_LENGTH
const messageBytesMax = 0x40000000 // the server's MaxAllocSize
const textBytesMax = 1_024 // enough to tell statements apart

const encryptionCodes: ReadonlyMap<number, string> = new Map([
  [80_877_103, 'SSLRequest'],
  [80_877_104, 'GSSENCRequest'],
])
const cancelCode = 80_877_102

export const postgresFraming: Framing = {
  protocol: 'postgres',
  repeatable: false, // a connection is a server process with a transaction of its own
  knows: isMessageName,
  converse,
}

function converse(): Conversation {
  let started = false
  let encryptionAsked = false
  let encrypted = false
  return {
    requests: {
      start(bytes) {
        if (encrypted) return opaque('request')
        if (started) return message(bytes, 'request', requestNames)
        const startup = startupPacket(bytes)
        started = startup?.frame.name === 'StartupMessage'
        return startup
      },
    },
    answers: {
      start(bytes) {
        if (encrypted) return opaque('answer')
        if (!encryptionAsked || bytes[0] === ascii('E')) return message(bytes, 'answer', answerNames)
        encryptionAsked = false
        encrypted = bytes[0] !== ascii('N')
        const name = 'EncryptionAnswer'
        return { frame: { direction: 'answer', name, text: name }, measure: sized(1) }
      },
    },
    sent({ name }) {
      if (name === 'SSLRequest' || name === 'GSSENCRequest') encryptionAsked = true
    },
  }
}

const ascii = (character: string): number => character.charCodeAt(0)

const opaque = (direction: Direction): Start => ({
  frame: { direction, name: 'Encrypted', text: 'Encrypted' },
  measure: endless,
})

function startupPacket(bytes: Buffer): Start | undefined {
  if (bytes.length < 4) return undefined
  const size = bytes.readInt32BE(0)
  if (size < startupHeadBytes || size > startupBytesMax)
    throw protocolError(`a PostgreSQL start-up packet of ${size} bytes`)
  if (bytes.length < startupHeadBytes) return undefined
  const name = startupName(bytes.readInt32BE(4))
  return { frame: { direction: 'request', name, text: name }, measure: sized(size) }
}

function startupName(code: number): string {
  if (code === cancelCode) return 'CancelRequest'
  if (code >> 16 === 3) return 'StartupMessage'
  const name = encryptionCodes.get(code)
  if (name === undefined) throw protocolError(`a PostgreSQL start-up packet with code ${code}`)
  return name
}

function message(bytes: Buffer, direction: Direction, names: ReadonlyMap<number, string>): Start | undefined {
  const type = bytes[0]
  const name = type === undefined ? undefined : names.get(type)
  if (name === undefined) throw protocolError(`a PostgreSQL ${direction} of type ${type}`)
  if (bytes.length < headBytes) return undefined
  const size = bytes.readInt32BE(1) + 1
  if (size < headBytes || size > messageBytesMax) throw protocolError(`a PostgreSQL ${name} of ${size} bytes`)
  const textEnd = Math.min(size, headBytes + textBytesMax)
  if (named.has(name) && bytes.length < textEnd) return undefined
  const text = named.has(name) ? textOf(name, bytes.subarray(headBytes, textEnd)) : name
  return { frame: { direction, name, text }, measure: sized(size) }
}

const named: ReadonlySet<string> = new Set(['Query', 'Parse', 'CommandComplete'])

/** The statement or the command tag. A Parse has the name of the prepared statement before it. */
function textOf(name: string, body: Buffer): string {
  const from = name === 'Parse' ? body.indexOf(0) + 1 : 0
  const end = body.indexOf(0, from)
  return body.toString('utf8', from, end === -1 ? body.length : end)
}
