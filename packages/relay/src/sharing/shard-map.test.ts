import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { evenShards, parseShardMap, shardCondition } from './shard-map.js'

const one = { shards: [{ shard: 0, lane: 'default', bucketFrom: 0, bucketTo: 255 }], lanes: {} }

describe('a shard map', () => {
  test('gives each bucket of each lane to one shard, however many there are', () => {
    const counts = fc.dictionary(fc.constantFrom('audit', 'mails', 'slow'), fc.integer({ min: 1, max: 60 }))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), counts, (count, others) => {
        const shards = evenShards(new Map([['default', count], ...Object.entries(others)]))
        const lanes = Object.fromEntries(Object.keys(others).map((lane) => [`topic of ${lane}`, lane]))
        const map = parseShardMap(2, { shards, lanes })
        for (const lane of ['default', ...Object.keys(others)])
          for (const bucket of [0, 1, 127, 254, 255]) {
            const owners = map.shards.filter(
              (shard) => shard.lane === lane && shard.bucketFrom <= bucket && bucket <= shard.bucketTo,
            )
            expect(owners).toHaveLength(1)
          }
      }),
    )
  })

  test.each([
    ['no shards', {}],
    ['a shard without buckets', { shards: [{ shard: 0, lane: 'default' }] }],
    ['a gap', { shards: [{ shard: 0, lane: 'default', bucketFrom: 0, bucketTo: 254 }] }],
    [
      'an overlap',
      { shards: [...one.shards, { shard: 1, lane: 'default', bucketFrom: 200, bucketTo: 255 }] },
    ],
    [
      'a shard named twice',
      { shards: [...one.shards, { shard: 0, lane: 'x', bucketFrom: 0, bucketTo: 255 }] },
    ],
    [
      'a shard of a lane without topics',
      { shards: [...one.shards, { shard: 1, lane: 'x', bucketFrom: 0, bucketTo: 255 }] },
    ],
    ['a lane without shards', { ...one, lanes: { audit: 'slow' } }],
  ])('with %s is refused', (_what, value) => {
    expect(() => parseShardMap(2, value)).toThrow(
      expect.objectContaining({ code: 'RELAY_SHARD_MAP_INVALID' }),
    )
  })

  test('selects all rows for the one shard, and a range of buckets for one of several', () => {
    const map = parseShardMap(1, one)
    expect(map.shards.map((shard) => shardCondition(shard, map))).toEqual([''])
    const two = parseShardMap(2, { shards: evenShards(new Map([['default', 2]])) })
    expect(two.shards.map((shard) => shardCondition(shard, two))).toEqual([
      'bucket between 0 and 127',
      'bucket between 128 and 255',
    ])
  })

  test('keeps the topics of lanes apart, whatever they are called', () => {
    const shards = evenShards(
      new Map([
        ['default', 1],
        ['slow', 1],
      ]),
    )
    const map = parseShardMap(2, { shards, lanes: { "it's": 'slow', 'back\\slash': 'slow' } })
    expect(map.shards.map((shard) => shardCondition(shard, map))).toEqual([
      "topic not in ('it''s', E'back\\\\slash')",
      "topic in ('it''s', E'back\\\\slash')",
    ])
  })
})
