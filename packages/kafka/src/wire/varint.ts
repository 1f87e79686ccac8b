/**
 * Kafka's variable-length integers: seven bits a byte, lowest first. Records use the zigzag form (small negative
 * numbers stay short), the flexible protocol versions (KIP-482) the unsigned one.
 */

/** Bytes that `value` takes, 0 to 2^32 - 1. */
export function unsignedVarintSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  return value < 0x1000_0000 ? 4 : 5
}

/** Writes `value` (0 to 2^32 - 1) at `offset` and returns the offset behind it. The caller has made room. */
export function writeUnsignedVarint(target: Uint8Array, offset: number, value: number): number {
  while (value >= 0x80) {
    target[offset++] = (value & 0x7f) | 0x80
    value >>>= 7
  }
  target[offset++] = value
  return offset
}

/** Zigzag of a 32-bit integer, as an unsigned one: 0, -1, 1, -2 become 0, 1, 2, 3. */
const zigzag = (value: number): number => ((value << 1) ^ (value >> 31)) >>> 0

/** Bytes that the zigzag form of a 32-bit integer takes. */
export const varintSize = (value: number): number => unsignedVarintSize(zigzag(value))

/** Writes the zigzag form of a 32-bit integer and returns the offset behind it. */
export const writeVarint = (target: Uint8Array, offset: number, value: number): number =>
  writeUnsignedVarint(target, offset, zigzag(value))

const fitsInt32 = (value: number): boolean => value === (value | 0)

const zigzag64 = (value: number): bigint => BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))

/** Bytes that the zigzag form of a safe integer takes: 1 to 8. */
export function varlongSize(value: number): number {
  if (fitsInt32(value)) return varintSize(value)
  let size = 1
  for (let rest = zigzag64(value) >> 7n; rest > 0n; rest >>= 7n) size++
  return size
}

/** Writes the zigzag form of a safe integer and returns the offset behind it. */
export function writeVarlong(target: Uint8Array, offset: number, value: number): number {
  if (fitsInt32(value)) return writeVarint(target, offset, value)
  let rest = zigzag64(value)
  for (; rest >= 0x80n; rest >>= 7n) target[offset++] = Number(rest & 0x7fn) | 0x80
  target[offset++] = Number(rest)
  return offset
}
