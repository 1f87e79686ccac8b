import { expect, test } from 'vitest'
import { parseDump } from './log-batches.js'

const line = (changes: Record<string, string> = {}): string => {
  const { time = 'CreateTime', codec = 'lz4', valid = 'true' } = changes
  return `baseOffset: 7 lastOffset: 9 count: 3 baseSequence: 0 lastSequence: 2 producerId: 42 producerEpoch: 2 partitionLeaderEpoch: 0 isTransactional: true isControl: false deleteHorizonMs: OptionalLong.empty position: 0 ${time}: 1795637898803 size: 78 magic: 2 compresscodec: ${codec} crc: 3975083656 isvalid: ${valid}`
}
const parse = (...lines: string[]) => [...parseDump(lines.join('\n'))]

test('reads each batch with the file that it is in', () => {
  const files = ['/data/orders-0/00000000000000000000.log', '/data/orders-1/00000000000000000000.log']
  const found = parse(
    ...files.flatMap((file) => [
      `Dumping ${file}`,
      'Log starting offset: 0',
      line({ time: 'LogAppendTime' }),
    ]),
    '',
  )
  expect(found).toEqual(
    files.map((file) => ({
      file,
      batch: {
        baseOffset: 7,
        records: 3,
        codec: 'lz4',
        bytes: 78,
        transactional: true,
        control: false,
        timestampType: 'LogAppendTime',
      },
    })),
  )
})

test('refuses a batch that is damaged or of another form, rather than leave it out', () => {
  expect(() => parse(line({ valid: 'false' }))).toThrow(/not a valid batch/)
  expect(() => parse('baseOffset: 7 lastOffset: 9')).toThrow(/not a valid batch/)
})
