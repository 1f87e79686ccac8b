import { varintSize, writeVarint } from '../wire/varint.js'

/**
 * One record header as it stands in a record: name and value, each with its length. Encode once what many records
 * share (content type, source, event type) and pass the bytes to {@link PartitionRecords.append}.
 */
export function encodeHeader(name: string, value: string | Uint8Array): Buffer {
  const nameBytes = Buffer.byteLength(name)
  const valueBytes = typeof value === 'string' ? Buffer.byteLength(value) : value.length
  const header = Buffer.allocUnsafe(varintSize(nameBytes) + nameBytes + varintSize(valueBytes) + valueBytes)
  let at = writeVarint(header, 0, nameBytes)
  at += header.write(name, at, 'utf8')
  at = writeVarint(header, at, valueBytes)
  if (typeof value === 'string') header.write(value, at, 'utf8')
  else header.set(value, at)
  return header
}
