import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { reset } from './reset.js'

async function connected(): Promise<{ readonly socket: Socket; readonly peer: Socket }> {
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server on TCP has an address of this kind while it listens.
  const { port } = server.address() as AddressInfo
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const [[peer]] = await Promise.all([once(server, 'connection'), once(socket, 'connect')])
  onTestFinished(() => void server.close())
  return { socket, peer: peer as Socket } // the event's documented argument
}

test('the other side of a connection that is reset finds an error, not an end', async () => {
  const { socket, peer } = await connected()
  const failed = once(peer, 'error')
  peer.resume()
  reset(socket)
  reset(socket)
  expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
})

test('a connection that is just being ended is closed all the same, and nothing of it is left behind', async () => {
  const { socket, peer } = await connected()
  peer.on('error', () => undefined).resume()
  const errors: unknown[] = []
  socket.on('error', (error) => errors.push(error))
  const closed = once(socket, 'close')
  socket.end()
  reset(socket)
  socket.destroy() // as a read error does
  await closed
  expect(errors).toEqual([])
})
