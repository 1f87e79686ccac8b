import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { partCount, partOf, Spill } from './spill.js'

test('what was added to a part is read back in its order, more than fits into memory buffers', async () => {
  await using spill = await Spill.create(24)
  const added = new Map<number, Buffer[]>()
  for (let n = 0; n < 10_000; n++) {
    const part = n % 3
    const entry = randomBytes(24)
    entry.copy(spill.add(part))
    if (n < 3) added.set(part, [entry])
    else added.get(part)?.push(entry)
  }
  expect(spill.count).toBe(10_000)
  expect(spill.bytes).toBeGreaterThan(0)
  for (const [part, entries] of added) expect(await spill.read(part)).toEqual(Buffer.concat(entries))
  expect(await spill.read(partCount - 1)).toHaveLength(0)
})

test('ids that differ in few bytes only are spread all the same', () => {
  const parts = new Set(
    Array.from({ length: 4_096 }, (_, n) => partOf(Buffer.from(n.toString(16).padStart(32, '0'), 'hex'))),
  )
  expect(parts.size).toBeGreaterThan(partCount * 0.8)
})
