import { expect, test } from 'vitest'
import { ParkedKeys } from './parked-keys.js'

const key = (text: string): Buffer => Buffer.from(text)

test('a key is parked in its topic, and nowhere else, until it is freed', () => {
  const parked = new ParkedKeys()
  parked.add('orders', key('é'))
  parked.add('orders', key('é'))
  parked.add('orders', key('b'))
  expect(parked.size).toBe(2)
  expect(parked.has('orders', key('é'))).toBe(true)
  expect(parked.has('orders', key('e'))).toBe(false)
  expect(parked.has('mails', key('é'))).toBe(false)
  expect([parked.hasTopic('orders'), parked.hasTopic('mails')]).toEqual([true, false])
  parked.delete('orders', key('é'))
  parked.delete('orders', key('é'))
  parked.delete('mails', key('b'))
  expect(parked.size).toBe(1)
  parked.delete('orders', key('b'))
  expect(parked.hasTopic('orders')).toBe(false)
})

test('a key of a megabyte is parked as well as an empty one, and none is taken for another', () => {
  const parked = new ParkedKeys()
  const long = Buffer.alloc(1_000_000, 'x')
  parked.add('orders', long)
  parked.add('orders', key(''))
  expect(parked.has('orders', Buffer.alloc(1_000_000, 'x'))).toBe(true)
  expect(parked.has('orders', Buffer.alloc(999_999, 'x'))).toBe(false)
  expect(parked.has('orders', key(''))).toBe(true)
  expect(parked.size).toBe(2)
})
