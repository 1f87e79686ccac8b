import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Decoder } from './decoder.js'
import type { Conversation, Framing, Protocol } from './framing.js'
import { framingOf } from './framings/framing-of.js'
import { ProxyError } from './proxy-error.js'
import { chunksOf, decodeAll } from '../test/decode-all.js'

interface Example {
  readonly bytes: Buffer
  readonly name: string
  readonly text?: string
}

const blob = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes))

// Kafka

const apis = [
  [0, 'Produce'],
  [3, 'Metadata'],
  [26, 'EndTxn'],
  [999, 'api-999'],
] as const

const kafkaRequest = (key: number, correlationId: number, body: Buffer): Buffer => {
  const head = Buffer.alloc(12)
  head.writeInt32BE(8 + body.length, 0)
  head.writeInt16BE(key, 4)
  head.writeInt32BE(correlationId, 8)
  return Buffer.concat([head, body])
}
const kafkaRequests: fc.Arbitrary<Example> = fc
  .tuple(fc.constantFrom(...apis), fc.integer(), blob(40))
  .map(([[key, name], id, body]) => ({ name, bytes: kafkaRequest(key, id, body) }))

// PostgreSQL

const message = (type: string, body: Buffer): Buffer => {
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}
const startup = Buffer.from('000000210003000075736572006e6f626f647900646174616261736500640000', 'hex')
const statement = fc.string({ unit: fc.constantFrom('c', 'o', 'M', 'i', 't', ' ', ';', 'ü') })
const postgresRequests: fc.Arbitrary<Example> = fc.oneof(
  statement.map((text) => ({ name: 'Query', text, bytes: message('Q', Buffer.from(`${text}\0`)) })),
  statement.map((text) => ({
    name: 'Parse',
    text,
    bytes: message('P', Buffer.concat([Buffer.from(`s1\0${text}\0`), Buffer.alloc(2)])),
  })),
  blob(60).map((body) => ({ name: 'Bind', bytes: message('B', body) })),
  fc.constant({ name: 'Sync', bytes: message('S', Buffer.alloc(0)) }),
)
const postgresAnswers: fc.Arbitrary<Example> = fc.oneof(
  fc.constantFrom('COMMIT', 'INSERT 0 1').map((text) => ({
    name: 'CommandComplete',
    text,
    bytes: message('C', Buffer.from(`${text}\0`)),
  })),
  blob(60).map((body) => ({ name: 'DataRow', bytes: message('D', body) })),
)

// Redis

const bulk = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')])
const redisRequests: fc.Arbitrary<Example> = fc.oneof(
  fc
    .tuple(fc.constantFrom('EVAL', 'evalsha', 'Get'), fc.array(blob(40), { maxLength: 4 }))
    .map(([name, rest]) => ({
      name: name.toUpperCase(),
      bytes: Buffer.concat([
        Buffer.from(`*${rest.length + 1}\r\n`),
        bulk(Buffer.from(name)),
        ...rest.map(bulk),
      ]),
    })),
  fc.constantFrom('ping', 'GET key').map((line) => ({
    name: line.split(' ')[0]?.toUpperCase() ?? '',
    bytes: Buffer.from(`${line}\r\n`),
  })),
)
const { value: redisValue } = fc.letrec<{ value: Buffer }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc
      .constantFrom('+OK\r\n', '-ERR no\r\n', ':12\r\n', '$-1\r\n', '*-1\r\n', '*0\r\n', '_\r\n', '#t\r\n')
      .map((line) => Buffer.from(line)),
    blob(40).map(bulk),
    fc
      .array(tie('value'), { maxLength: 3 })
      .map((values) => Buffer.concat([Buffer.from(`*${values.length}\r\n`), ...values])),
    fc.tuple(tie('value'), tie('value')).map((pair) => Buffer.concat([Buffer.from('%1\r\n'), ...pair])),
    fc
      .tuple(tie('value'), tie('value'), tie('value'))
      .map((three) => Buffer.concat([Buffer.from('|1\r\n'), ...three])),
  ),
}))

const lengths = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 })

/** A conversation behind its start-up. */
function begun(framing: Framing): Conversation {
  const conversation = framing.converse()
  if (framing.protocol === 'postgres') decodeAll(conversation.requests, [startup])
  return conversation
}

describe('whatever the chunks, the frames are the same', () => {
  const requests: readonly (readonly [Protocol, fc.Arbitrary<Example>])[] = [
    ['kafka', kafkaRequests],
    ['postgres', postgresRequests],
    ['redis', redisRequests],
  ]
  test.each(requests)('requests of %s', (protocol, example) => {
    fc.assert(
      fc.property(fc.array(example, { maxLength: 12 }), lengths, (examples, sizes) => {
        const stream = Buffer.concat(examples.map(({ bytes }) => bytes))
        const { requests: grammar } = begun(framingOf(protocol))
        expect(decodeAll(grammar, chunksOf(stream, sizes))).toEqual(
          examples.map(({ name, text, bytes }) => ({ name, text: text ?? name, bytes })),
        )
      }),
    )
  })

  test('answers of Kafka, which are named after their requests in any order', () => {
    const exchange = fc.array(fc.tuple(fc.constantFrom(...apis), blob(40)), { maxLength: 12 })
    fc.assert(
      fc.property(exchange, lengths, fc.boolean(), (calls, sizes, reversed) => {
        const { answers, sent } = framingOf('kafka').converse()
        const expected = calls.map(([[, name], body], correlationId) => {
          sent({ direction: 'request', name, text: name, correlationId })
          const head = Buffer.alloc(8)
          head.writeInt32BE(4 + body.length, 0)
          head.writeInt32BE(correlationId, 4)
          return { name, text: name, bytes: Buffer.concat([head, body]) }
        })
        if (reversed) expected.reverse()
        const stream = Buffer.concat(expected.map(({ bytes }) => bytes))
        expect(decodeAll(answers, chunksOf(stream, sizes))).toEqual(expected)
      }),
    )
  })

  test('answers of PostgreSQL', () => {
    fc.assert(
      fc.property(fc.array(postgresAnswers, { maxLength: 12 }), lengths, (examples, sizes) => {
        const stream = Buffer.concat(examples.map(({ bytes }) => bytes))
        const { answers } = begun(framingOf('postgres'))
        expect(decodeAll(answers, chunksOf(stream, sizes))).toEqual(
          examples.map(({ name, text, bytes }) => ({ name, text: text ?? name, bytes })),
        )
      }),
    )
  })

  test('answers of Redis, which are named after their commands in order', () => {
    fc.assert(
      fc.property(fc.array(redisValue, { maxLength: 8 }), lengths, (values, sizes) => {
        const { answers, sent } = framingOf('redis').converse()
        const expected = values.map((bytes, index) => {
          const name = index % 2 === 0 ? 'EVAL' : 'GET'
          sent({ direction: 'request', name, text: name })
          return { name, text: name, bytes }
        })
        expect(decodeAll(answers, chunksOf(Buffer.concat(values), sizes))).toEqual(expected)
      }),
    )
  })
})

describe('bytes that are no frames', () => {
  test.each(['kafka', 'postgres', 'redis'] as const)(
    'of %s are passed as they are or refused with PROXY_PROTOCOL, and never kept without bound',
    (protocol) => {
      const directions = fc.constantFrom('requests' as const, 'answers' as const)
      fc.assert(
        fc.property(fc.array(blob(300), { maxLength: 8 }), directions, (chunks, direction) => {
          const decoder = new Decoder(begun(framingOf(protocol))[direction])
          const passed: Buffer[] = []
          try {
            for (const chunk of chunks)
              for (const piece of decoder.push(chunk)) if (piece.kind === 'bytes') passed.push(piece.bytes)
            expect(Buffer.concat([...passed, decoder.rest])).toEqual(Buffer.concat(chunks))
          } catch (error) {
            if (!(error instanceof ProxyError)) throw error
            expect(error.code).toBe('PROXY_PROTOCOL')
          }
        }),
        { numRuns: 500 },
      )
    },
  )

  test('a frame is passed on in pieces, as soon as it is named', () => {
    const decoder = new Decoder(framingOf('kafka').converse().requests)
    const head = kafkaRequest(0, 1, Buffer.alloc(0))
    head.writeInt32BE(100_000_000, 0)
    const pieces = [...decoder.push(head), ...decoder.push(Buffer.alloc(65_536))]
    expect(pieces.map(({ kind }) => kind)).toEqual(['begin', 'bytes', 'bytes'])
    expect(decoder.rest).toHaveLength(0)
  })
})

test('after the server has agreed to encrypt, PostgreSQL is passed through unread', () => {
  const conversation = framingOf('postgres').converse()
  const sslRequest = Buffer.from('0000000804d2162f', 'hex')
  const [asked] = decodeAll(conversation.requests, [sslRequest])
  expect(asked).toMatchObject({ name: 'SSLRequest', bytes: sslRequest })
  conversation.sent({ direction: 'request', name: 'SSLRequest', text: 'SSLRequest' })
  const answers = new Decoder(conversation.answers)
  expect([...answers.push(Buffer.from('S'))]).toHaveLength(3)
  const hello = Buffer.from('1603010200', 'hex')
  expect([...answers.push(hello)]).toMatchObject([{ frame: { name: 'Encrypted' } }, { bytes: hello }])
  expect([...new Decoder(conversation.requests).push(hello)]).toMatchObject([
    { frame: { name: 'Encrypted' } },
    { bytes: hello },
  ])
})
