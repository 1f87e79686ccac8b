import { AssignerProtocol } from 'kafkajs'
import { describe, expect, test } from 'vitest'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './consumer-protocol.js'

const { MemberAssignment, MemberMetadata } = AssignerProtocol
const assigned = [
  { topic: 'orders', partitions: [0, 2, 4] },
  { topic: 'zahlungen-ü', partitions: [1] },
]

const counts = new Map([
  ['orders', 5],
  ['zahlungen-ü', 2],
])

test('an assignment tells how many partitions the topics had', () => {
  expect(decodeAssignment(encodeAssignment(assigned, counts))).toEqual({ assigned, partitionCounts: counts })
})

describe('members of another client', () => {
  test('read what we subscribe to and assign', () => {
    expect(MemberMetadata.decode(encodeSubscription(['orders', 'zahlungen-ü']))).toMatchObject({
      version: 0,
      topics: ['orders', 'zahlungen-ü'],
    })
    expect(MemberAssignment.decode(encodeAssignment(assigned, counts))?.assignment).toEqual({
      orders: [0, 2, 4],
      'zahlungen-ü': [1],
    })
  })

  test('are read, also with user data and fields of later versions behind ours', () => {
    const subscription = MemberMetadata.encode({ version: 3, topics: ['a', 'b'], userData: Buffer.from('x') })
    expect(decodeSubscription(Buffer.concat([subscription, Buffer.alloc(10)]))).toEqual(['a', 'b'])
    const assignment = MemberAssignment.encode({
      version: 3,
      assignment: { orders: [0, 2, 4], 'zahlungen-ü': [1] },
      userData: Buffer.from('x'),
    })
    expect(decodeAssignment(assignment)).toEqual({ assigned, partitionCounts: new Map() })
  })

  test('that assign nothing may send nothing', () => {
    const nothing = { assigned: [], partitionCounts: new Map() }
    expect(decodeAssignment(Buffer.alloc(0))).toEqual(nothing)
    expect(decodeAssignment(encodeAssignment([], new Map()))).toEqual(nothing)
  })
})
