import { expect, test } from 'vitest'
import { decodePosition, encodePosition, positionBehind, type Position } from './position.js'
import { parseSnapshot } from './reading/snapshot.js'

const position: Position = {
  batch: 7,
  incarnation: 'i',
  window: { generation: 1, epoch: 2, number: 3, incarnation: 'w' },
  from: parseSnapshot('3:3:'),
  to: parseSnapshot('5:9:5,7'),
  lastSeq: 9_007_199_254_740_993n,
  complete: false,
  clusterId: 'c',
  progressTopicId: 't',
  shards: 1,
  events: 10,
  eventsTotal: 99,
}

test('a position survives the trip through Kafka, a sequence number above 2^53 included', () => {
  expect(decodePosition(encodePosition(position))).toEqual(position)
})

test('a position of a newer release is told from a broken one; a field that this one does not know is passed over', () => {
  const text = encodePosition(position).toString()
  expect(() => decodePosition(Buffer.from(text.replace('"v":1', '"v":3')))).toThrow(
    expect.objectContaining({ code: 'RELAY_RECORD_NEWER', details: { version: 3, known: 2 } }),
  )
  expect(decodePosition(Buffer.from(text.replace('"v":1', '"v":1,"later":{"x":[1]}')))).toEqual(position)
})

test('inside a window that is published transaction by transaction, a position is of a version that older releases refuse', () => {
  const inside = { ...position, lastOfTransaction: 9_007_199_254_740_999n }
  expect(encodePosition(inside).toString()).toContain('"v":2')
  expect(decodePosition(encodePosition(inside))).toEqual(inside)
  const copies = positionBehind(inside, { incarnation: 'j', events: 2, requeued: [4] })
  expect(copies).toMatchObject({ lastSeq: inside.lastSeq, lastOfTransaction: inside.lastOfTransaction })
  const end = positionBehind(inside, { incarnation: 'j', events: 0, complete: true })
  expect(encodePosition(end).toString()).toContain('"v":1')
  expect(end).not.toHaveProperty('lastOfTransaction')
})

test('letters that were published again stand in the position of that transaction, and in none behind it', () => {
  const turn = positionBehind(position, { incarnation: 'j', events: 2, requeued: [4, 9] })
  expect(turn).toMatchObject({ batch: 8, eventsTotal: 101, lastSeq: position.lastSeq, requeued: [4, 9] })
  expect(decodePosition(encodePosition(turn))).toEqual(turn)
  const next = positionBehind(turn, { incarnation: 'j', events: 1 })
  expect(next).toEqual({ ...position, batch: 9, incarnation: 'j', events: 1, eventsTotal: 102 })
})

test('how far a replay is stands in the position of that transaction, and in none behind it', () => {
  const replayed = { number: 3, seq: 9_007_199_254_740_995n, events: 2, refused: 1 }
  const turn = positionBehind(position, { incarnation: 'j', events: 2, replayed })
  expect(decodePosition(encodePosition(turn))).toEqual(turn)
  expect(positionBehind(turn, { incarnation: 'j', events: 1 })).not.toHaveProperty('replayed')
  const broken = encodePosition(turn).toString().replace('"number":3,"seq"', '"number":"3","seq"')
  expect(() => decodePosition(Buffer.from(broken))).toThrow(
    expect.objectContaining({ code: 'KAFKA_PROGRESS_CORRUPT' }),
  )
})

test.for([
  [
    'letters that are no numbers',
    encodePosition({ ...position, requeued: [1] })
      .toString()
      .replace('[1]', '["1"]'),
  ],
  ['no JSON', 'hello'],
  ['an older version', encodePosition(position).toString().replace('"v":1', '"v":0')],
  [
    'a window of transactions without its transaction',
    encodePosition(position).toString().replace('"v":1', '"v":2'),
  ],
  ['a version that is no number', encodePosition(position).toString().replace('"v":1', '"v":"2"')],
  ['a missing field', encodePosition(position).toString().replace('"complete"', '"other"')],
  ['a snapshot that is none', encodePosition(position).toString().replace('5:9:5,7', "5:9:5'")],
])('%s is refused, never guessed', ([, text = '']) => {
  expect(() => decodePosition(Buffer.from(text))).toThrow(
    expect.objectContaining({ code: 'KAFKA_PROGRESS_CORRUPT' }),
  )
})
