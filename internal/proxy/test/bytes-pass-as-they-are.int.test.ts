import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { startProxy, type Proxy } from '../src/index.js'

interface Setup {
  readonly proxy: Proxy
  readonly client: Socket
  /** The proxy's connection, at the server's side. */
  readonly server: Socket
}

/** A client, the proxy, and a server that does what the test does. */
async function setUp(): Promise<Setup> {
  const listener = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => undefined))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo // of a server on TCP
  const proxy = await startProxy({ protocol: 'kafka', upstream: { host: '127.0.0.1', port } })
  const accepted = once(listener, 'connection') as Promise<[Socket]> // the event's documented argument
  const client = connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true })
  const [server] = await accepted
  client.on('error', () => undefined) // a reset is what some tests are for
  onTestFinished(async () => {
    await proxy[Symbol.asyncDispose]()
    for (const socket of [client, server]) socket.destroy()
    listener.close()
  })
  return { proxy, client, server }
}

function request(name: 'Produce' | 'EndTxn', correlationId: number, body = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(12)
  head.writeInt32BE(8 + body.length, 0)
  head.writeInt16BE(name === 'Produce' ? 0 : 26, 4)
  head.writeInt32BE(correlationId, 8)
  return Buffer.concat([head, body])
}

/** Not `once`, which takes the error of a reset for its own. */
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => void socket.once('close', () => resolve()))

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** So many bytes, in whatever chunks. */
async function read(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let missing = length
  while (missing > 0) {
    const chunk = socket.read(Math.min(missing, Math.max(1, socket.readableLength))) as Buffer | null // no encoding is set
    if (chunk === null) await once(socket, 'readable')
    else {
      chunks.push(chunk)
      missing -= chunk.length
    }
  }
  return Buffer.concat(chunks)
}

test('a frame of 100 MB passes unchanged, and waits in the client while the server does not read', async () => {
  const { client, server } = await setUp()
  const frame = request('Produce', 1, Buffer.alloc(100_000_000, 'oncebox'))
  let taken = 0
  for (let at = 0; at < frame.length; at += 1_000_000) {
    const slice = frame.subarray(at, at + 1_000_000)
    client.write(slice, () => (taken += slice.length))
  }
  client.end()
  let before = -1
  const standsStill = (): boolean => taken > 0 && taken === before
  await expect
    .poll(() => standsStill() || ((before = taken), false), { interval: 300, timeout: 20_000 })
    .toBe(true)
  expect(taken).toBeLessThan(50_000_000) // the kernel's buffers of two connections, and not the proxy's
  expect(digestOf(await buffer(server))).toBe(digestOf(frame))
})

test('a side that has ended still hears the other one', async () => {
  const { client, server } = await setUp()
  client.end(request('EndTxn', 1))
  expect(await read(server, 12)).toEqual(request('EndTxn', 1))
  server.resume()
  await once(server, 'end')
  const answer = Buffer.from('0000000400000001', 'hex')
  server.end(answer)
  expect(await buffer(client)).toEqual(answer)
})

test('an unfinished frame is passed on with the end behind it', async () => {
  const { client, server } = await setUp()
  const unfinished = request('EndTxn', 1).subarray(0, 7)
  client.end(unfinished)
  expect(await buffer(server)).toEqual(unfinished)
})

test('bytes that are no frame cut their connection, with an error that says so, and no other one', async () => {
  const { proxy, client } = await setUp()
  const other = await connectionOf(proxy)
  client.write('GET / HTTP/1.1\r\n\r\n')
  await closed(client)
  expect(proxy.failures).toMatchObject([{ name: 'ProxyError', code: 'PROXY_PROTOCOL' }])
  expect(other.closed).toBe(false)
  other.destroy()
})

test('a server that does not listen is a reset, and a failure with a name', async () => {
  const { proxy, client } = await setUp()
  await using lonely = await startProxy({ protocol: 'redis', upstream: { host: '127.0.0.1', port: 1 } })
  const socket = connect({ host: lonely.host, port: lonely.port }).on('error', () => undefined)
  await closed(socket)
  expect(lonely.failures).toMatchObject([{ code: 'PROXY_UPSTREAM_UNREACHABLE' }])
  expect(proxy.failures).toEqual([])
  expect(client.closed).toBe(false)
})

test('rules see pipelined frames one by one: the second Produce is dropped, the third held, the others pass', async () => {
  const { proxy, client, server } = await setUp()
  const dropped = proxy.on({ request: 'Produce', nth: 2 }, 'drop')
  const held = proxy.on({ request: /^Prod/, nth: 3 }, 'hold')
  client.write(Buffer.concat([1, 2, 3, 4].map((id) => request('Produce', id))))
  const [, frame] = await Promise.all([dropped.fired, held.fired])
  expect(frame).toMatchObject({ name: 'Produce', correlationId: 3, bytes: request('Produce', 3) })
  expect(await read(server, 24)).toEqual(Buffer.concat([request('Produce', 1), request('Produce', 4)]))
  await frame.deliver()
  expect(await read(server, 12)).toEqual(request('Produce', 3))
})

test('a held frame is delivered between two others, not into the middle of one', async () => {
  const { proxy, client, server } = await setUp()
  const held = await (async () => {
    const rule = proxy.on({ request: 'EndTxn' }, 'hold')
    client.write(request('EndTxn', 1))
    return await rule.fired
  })()
  const large = request('Produce', 2, Buffer.alloc(1_000))
  client.write(large.subarray(0, 500))
  const first = await read(server, 500)
  const delivered = held.deliver()
  client.write(large.subarray(500))
  expect(Buffer.concat([first, await read(server, large.length - 500)])).toEqual(large)
  await delivered
  expect(await read(server, 12)).toEqual(request('EndTxn', 1))
})

test('cut-after delivers the frame and nothing behind it, and resets the sender', async () => {
  const { proxy, client, server } = await setUp()
  const rule = proxy.on({ request: 'EndTxn' }, 'cut-after')
  client.write(Buffer.concat([request('EndTxn', 1), request('Produce', 2)]))
  const [error] = (await once(client, 'error')) as [Error] // the event's documented argument
  expect(error).toMatchObject({ code: 'ECONNRESET' })
  await rule.fired
  expect(await buffer(server)).toEqual(request('EndTxn', 1))
  expect(proxy.failures).toEqual([])
})

test('cut-before resets both sides', async () => {
  const { proxy, client, server } = await setUp()
  const rule = proxy.on({ request: 'EndTxn' }, 'cut-before')
  server.resume()
  client.write(request('EndTxn', 1))
  await Promise.all([closed(client), closed(server), rule.fired])
  expect(server.bytesRead).toBe(0)
})

test('a black hole swallows both ways and tells nobody; what waited passes when it is healed', async () => {
  const { proxy, client, server } = await setUp()
  proxy.blackhole()
  client.write(request('EndTxn', 1))
  server.write(Buffer.from('0000000400000007', 'hex'))
  const fired = proxy.on({ request: 'EndTxn' }, 'forward').fired
  proxy.latency(20)
  const late = await connectionOf(proxy)
  expect([server.readableLength, client.readableLength]).toEqual([0, 0])
  proxy.heal()
  expect(await fired).toMatchObject({ name: 'EndTxn' })
  expect(await read(server, 12)).toEqual(request('EndTxn', 1))
  expect(await read(client, 8)).toHaveLength(8)
  proxy.cutAll()
  await Promise.all([closed(client), closed(late)])
})

async function connectionOf(proxy: Proxy): Promise<Socket> {
  const socket = connect({ host: proxy.host, port: proxy.port }).on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

test('a delayed frame passes after its time', async () => {
  const { proxy, client, server } = await setUp()
  const begun = performance.now()
  proxy.on({ request: 'EndTxn' }, { delayMs: 60 })
  client.write(request('EndTxn', 1))
  expect(await read(server, 12)).toEqual(request('EndTxn', 1))
  expect(performance.now() - begun).toBeGreaterThan(55)
})

test('a rule can be removed, and one that could never fire is refused', async () => {
  const { proxy, client, server } = await setUp()
  const rule = proxy.on({ request: 'EndTxn', nth: 'every' }, 'drop')
  client.write(request('EndTxn', 1))
  await rule.fired
  expect(rule.frames).toHaveLength(1)
  rule.remove()
  client.write(request('EndTxn', 2))
  expect(await read(server, 12)).toEqual(request('EndTxn', 2))
  const unused = proxy.on({ answer: 'EndTxn' }, 'drop')
  unused.remove()
  await expect(unused.fired).rejects.toMatchObject({ code: 'PROXY_RULE_REMOVED' })
  expect(() => proxy.on({ request: 'EndTransaction' }, 'drop')).toThrow(
    expect.objectContaining({ code: 'PROXY_RULE_INVALID' }),
  )
  expect(() => proxy.on({ request: 'EndTxn', nth: 0 }, 'drop')).toThrow(/whole number/)
})
