import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { OutboxError } from '@oncebox/core'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { exitCodeOf, exitCodes } from './exit-code.js'

/** What the driver says of a server that does this with whoever connects. */
async function saidOf(receive: (socket: Socket) => void): Promise<unknown> {
  const server = createServer(receive).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo // of a TCP server that listens
  const client = new pg.Client({ host: '127.0.0.1', port, connectionTimeoutMillis: 50 })
  client.on('error', () => undefined)
  const said = await client.connect().catch((error: unknown) => error)
  await client.end().catch(() => undefined)
  return said
}

test.for([
  ['hangs up', (socket: Socket) => void socket.end()],
  ['says nothing', () => undefined],
] as const)('a database server that %s is one that cannot be reached', async ([, receive]) => {
  const said = await saidOf(receive)
  expect(said).toBeInstanceOf(Error)
  expect(exitCodeOf(said)).toBe(exitCodes.unavailable)
})

test('wrong use, a service that is away, and anything else are told apart', () => {
  expect(
    [
      new OutboxError('CLI_USAGE', 'x'),
      new OutboxError('RELAY_OPTIONS_INVALID', 'x'),
      new OutboxError('KAFKA_UNAVAILABLE', 'x'),
      new OutboxError('RELAY_HISTORY_DIVERGED', 'x'),
      Object.assign(new Error('x'), { code: 'ECONNREFUSED' }),
      Object.assign(new Error('x'), { code: '42501' }),
      'x',
    ].map(exitCodeOf),
  ).toEqual([2, 2, 3, 1, 3, 1, 1])
})
