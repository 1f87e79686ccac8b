import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { LinkedSignal } from './linked-signal.js'

test('the first of several signals, or the owner, aborts it, and nothing stays behind at the sources', () => {
  const [one, other] = [new AbortController(), new AbortController()]
  {
    using linked = new LinkedSignal(one.signal, undefined, other.signal)
    other.abort('other')
    one.abort('one')
    expect(linked.signal.reason).toBe('other')
    using late = new LinkedSignal(one.signal)
    expect(late.signal.reason).toBe('one')
  }
  const source = new AbortController().signal
  for (let turn = 0; turn < 3; turn += 1) {
    using linked = new LinkedSignal(source)
    expect(getEventListeners(source, 'abort')).toHaveLength(1)
    linked.abort('own')
    expect(linked.signal.reason).toBe('own')
  }
  expect(getEventListeners(source, 'abort')).toHaveLength(0)
})
