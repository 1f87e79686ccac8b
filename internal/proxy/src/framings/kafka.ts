/** Kafka: a length of four bytes, then the frame. Requests name themselves; answers are found by correlation id. */
import type { Conversation, Framing, Grammar } from '../framing.js'
import { sized } from '../measures.js'
import { protocolError } from '../proxy-error.js'
import { apiNameOf, isApiName } from './kafka-api-names.js'

const lengthBytes = 4
const requestHeadBytes = lengthBytes + 8 // API key, its version, correlation id
const answerHeadBytes = lengthBytes + 4
const frameBytesMax = 104_857_600 // the broker's socket.request.max.bytes; a Fetch answer may be larger by one batch
const answerBytesMax = 2 * frameBytesMax
const unansweredMax = 10_000 // Produce with acks=0 is never answered

export const kafkaFraming: Framing = {
  protocol: 'kafka',
  repeatable: true, // unless the listener asks for SASL
  knows: isApiName,
  converse,
}

function converse(): Conversation {
  const unanswered = new Map<number, string>()
  return {
    requests,
    answers: {
      start(bytes) {
        const size = sizeOf(bytes, answerHeadBytes, answerBytesMax)
        if (size === undefined) return undefined
        const correlationId = bytes.readInt32BE(lengthBytes)
        const name = unanswered.get(correlationId) ?? 'unknown'
        unanswered.delete(correlationId)
        return {
          frame: { direction: 'answer', name, text: name, correlationId },
          measure: sized(size),
        }
      },
    },
    sent({ name, correlationId }) {
      if (correlationId === undefined) return
      unanswered.set(correlationId, name)
      for (const oldest of unanswered.keys()) {
        if (unanswered.size <= unansweredMax) break
        unanswered.delete(oldest)
      }
    },
  }
}

const requests: Grammar = {
  start(bytes) {
    const size = sizeOf(bytes, requestHeadBytes, frameBytesMax)
    if (size === undefined) return undefined
    const name = apiNameOf(bytes.readInt16BE(lengthBytes))
    const correlationId = bytes.readInt32BE(lengthBytes + 4)
    return { frame: { direction: 'request', name, text: name, correlationId }, measure: sized(size) }
  },
}

/** Of the whole frame, its length included; undefined until its head is there. */
function sizeOf(bytes: Buffer, headBytes: number, bytesMax: number): number | undefined {
  if (bytes.length < lengthBytes) return undefined
  const size = bytes.readInt32BE(0) + lengthBytes
  if (size < headBytes || size > bytesMax) throw protocolError(`a Kafka frame of ${size} bytes`)
  return bytes.length < headBytes ? undefined : size
}
