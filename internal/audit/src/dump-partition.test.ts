import { expect, test } from 'vitest'
import { parseDump } from './dump-partition.js'

const batch = (offset: string, producerId: number, control: boolean): string =>
  `baseOffset: ${offset} lastOffset: ${offset} count: 1 baseSequence: 0 lastSequence: 0 producerId: ${producerId} producerEpoch: 3 partitionLeaderEpoch: 0 isTransactional: true isControl: ${control} position: 0`

test('reads records and markers in the order of the log, and offsets that no number holds', () => {
  const output = [
    'Dumping /data/orders-0/00000000000000000000.log',
    'Log starting offset: 0',
    batch('9007199254740993', 7, false),
    '| offset: 9007199254740993 CreateTime: 17 keySize: -1 valueSize: 7 sequence: 0 headerKeys: [] payload: a value: with colons',
    batch('9007199254740994', 7, true),
    '| offset: 9007199254740994 CreateTime: 18 keySize: 4 valueSize: 6 sequence: -1 headerKeys: [] endTxnMarker: ABORT coordinatorEpoch: 0',
    batch('9007199254740995', 8, true),
    '| offset: 9007199254740995 CreateTime: 18 keySize: 4 valueSize: 6 sequence: -1 headerKeys: [] endTxnMarker: COMMIT coordinatorEpoch: 0',
    '',
  ].join('\n')
  expect(parseDump(output)).toEqual([
    { offset: '9007199254740993', producerId: '7', producerEpoch: '3', value: 'a value: with colons' },
    { offset: '9007199254740994', producerId: '7', ends: 'ABORT' },
    { offset: '9007199254740995', producerId: '8', ends: 'COMMIT' },
  ])
})
