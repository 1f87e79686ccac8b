/**
 * The header of a record batch, magic 2: 61 bytes at fixed offsets, then the records.
 * @see https://kafka.apache.org/documentation/#recordbatch
 */
export const batchLayout = {
  baseOffset: 0,
  /** Bytes behind this field. */
  length: 8,
  partitionLeaderEpoch: 12,
  magic: 16,
  /** CRC-32C of everything from `attributes` on. */
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57,
  records: 61,
} as const

/** What `length` does not count: base offset and length itself. */
export const batchOverheadBytes = 12

export const batchMagic = 2

/** Bits of `attributes`. */
export const batchAttributes = {
  compression: 0x07,
  /** LogAppendTime: the broker wrote its own time into `maxTimestamp`, and it counts for every record. */
  appendTime: 0x08,
  transactional: 0x10,
  control: 0x20,
} as const
