import { randomName, sharedStack } from '@internal/stack'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startProxy, type Proxy } from '../src/index.js'

const upstream = (): { host: string; port: number } => {
  const { hostname, port } = new URL(sharedStack().redis.url)
  return { host: hostname, port: Number(port) }
}

function open(at: { readonly host: string; readonly port: number }): Socket {
  const socket = connect({ host: at.host, port: at.port })
  socket.setEncoding('latin1').on('error', () => undefined) // a cut connection is what this is for
  onTestFinished(() => void socket.destroy())
  return socket
}

async function setUp(): Promise<{ proxy: Proxy; client: Socket; counter: string }> {
  const proxy = await startProxy({ protocol: 'redis', upstream: upstream() })
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  return { proxy, client: open(proxy), counter: randomName('counter') }
}

const command = (...words: readonly string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`

const increment = (counter: string): string =>
  command('eval', "return redis.call('incr', KEYS[1])", '1', counter)

/** Not `once`, which takes the error of a reset for its own. */
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => void socket.once('close', () => resolve()))

/** The next answers, as they come: a test knows how long they are. */
async function answers(socket: Socket, length: number): Promise<string> {
  let read = ''
  while (read.length < length) {
    const [chunk] = (await once(socket, 'data')) as [string] // of a socket with an encoding
    read += chunk
  }
  return read
}

/** The counter, asked past the proxy. */
async function valueOf(counter: string): Promise<string> {
  const direct = open(upstream())
  direct.write(command('incrby', counter, '0'))
  return (await answers(direct, 4)).slice(1, -2)
}

test('an EVAL whose answer is dropped has run, and what comes behind it is answered', async () => {
  const { proxy, client, counter } = await setUp()
  const rule = proxy.on({ answer: 'EVAL' }, 'drop')
  client.write(command('PING') + increment(counter) + command('ECHO', 'behind'))
  expect(await answers(client, 19)).toBe('+PONG\r\n$6\r\nbehind\r\n')
  expect(await rule.fired).toMatchObject({ direction: 'answer', name: 'EVAL' })
  expect(await valueOf(counter)).toBe('1')
})

test('an EVAL that is cut off has not run', async () => {
  const { proxy, client, counter } = await setUp()
  const rule = proxy.on({ request: 'EVAL' }, 'cut-before')
  client.resume().write(increment(counter))
  await Promise.all([closed(client), rule.fired])
  expect(await valueOf(counter)).toBe('0')
})

test('a held EVAL runs when it is delivered, although its connection is gone', async () => {
  const { proxy, client, counter } = await setUp()
  const rule = proxy.on({ request: 'EVAL' }, 'hold')
  client.resume().write(increment(counter))
  const frame = await rule.fired
  const gone = closed(client)
  proxy.cutAll()
  await gone
  expect(await valueOf(counter)).toBe('0')
  expect((await frame.deliver())?.toString()).toBe(':1\r\n')
  expect(await valueOf(counter)).toBe('1')
})

test('a copy of an EVAL runs once more, and its client hears nothing of it', async () => {
  const { proxy, client, counter } = await setUp()
  const rule = proxy.on({ request: 'EVAL' }, 'duplicate-later')
  client.write(increment(counter))
  expect(await answers(client, 4)).toBe(':1\r\n')
  const copy = await rule.fired
  expect((await copy.deliver())?.toString()).toBe(':2\r\n')
  client.write(increment(counter))
  expect(await answers(client, 4)).toBe(':3\r\n')
})

test('an answer whose client is gone cannot be delivered', async () => {
  const { proxy, client, counter } = await setUp()
  const rule = proxy.on({ answer: 'EVAL' }, 'hold')
  client.resume().write(increment(counter))
  const frame = await rule.fired
  proxy.cutAll()
  await expect(frame.deliver()).rejects.toMatchObject({ code: 'PROXY_CONNECTION_GONE' })
})
