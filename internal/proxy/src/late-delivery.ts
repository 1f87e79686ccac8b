/** Sends a request on a connection of its own, as a packet that was late for its connection, and reads the answer. */
import { connect, type Socket } from 'node:net'
import { Decoder } from './decoder.js'
import type { Frame } from './frame.js'
import type { Framing } from './framing.js'
import { ProxyError } from './proxy-error.js'
import type { Upstream } from './upstream.js'

const answerWithinMs = 30_000

/** @throws ProxyError PROXY_UNANSWERED, PROXY_UPSTREAM_UNREACHABLE */
export async function deliverLate(
  upstream: Upstream,
  framing: Framing,
  request: Frame,
  bytes: Buffer,
): Promise<Buffer> {
  const socket = connect(upstream)
  let connected = false
  socket.once('connect', () => (connected = true))
  socket.setTimeout(answerWithinMs, () => socket.destroy(new Error(`no answer within ${answerWithinMs} ms`)))
  try {
    const conversation = framing.converse()
    conversation.sent(request)
    socket.write(bytes)
    return await readFrame(socket, new Decoder(conversation.answers))
  } catch (cause) {
    if (!connected)
      throw new ProxyError('PROXY_UPSTREAM_UNREACHABLE', `nobody listens on port ${upstream.port}`, { cause })
    throw new ProxyError('PROXY_UNANSWERED', `a late ${request.name} was not answered`, { cause })
  } finally {
    socket.destroy()
  }
}

async function readFrame(socket: Socket, decoder: Decoder): Promise<Buffer> {
  const read: Buffer[] = []
  // Without an encoding, a socket's chunks are buffers.
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    for (const piece of decoder.push(chunk)) {
      if (piece.kind === 'bytes') read.push(piece.bytes)
      if (piece.kind === 'end') return Buffer.concat(read)
    }
  }
  throw new Error('the connection was closed before an answer')
}
