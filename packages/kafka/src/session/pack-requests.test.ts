import { describe, expect, test } from 'vitest'
import { packRequests } from './pack-requests.js'

const send = (owner: string, index: number, leader: number, bytes: number) => ({
  owner,
  index,
  round: index,
  leader,
  bytes: Buffer.alloc(bytes),
})
const shape = (batches: Parameters<typeof packRequests<string>>[0]) =>
  packRequests(batches).map(
    ({ leader, batches: packed }) =>
      `${leader}: ${packed.map(({ owner, index }) => `${owner}${index}`).join(' ')}`,
  )

describe('produce requests', () => {
  test('hold one batch of a partition each, in order, and one per broker', () => {
    const batches = [
      send('p', 0, 1, 10),
      send('p', 1, 1, 10),
      send('q', 0, 2, 10),
      send('r', 0, 1, 10),
      send('r', 1, 1, 10),
    ]
    expect(shape(batches)).toEqual(['1: p0 r0', '2: q0', '1: p1 r1'])
  })

  test('stay below 8 MB, but for a batch that is larger by itself', () => {
    const megabytes = 1024 * 1024
    const batches = [
      send('p', 0, 1, 5 * megabytes),
      send('q', 0, 1, 3 * megabytes),
      send('r', 0, 1, 1),
      send('s', 0, 1, 20 * megabytes),
    ]
    expect(shape(batches)).toEqual(['1: p0 q0', '1: r0', '1: s0'])
  })
})
