/**
 * The output of Apache's console consumer, made unambiguous: the separators carry a random word, so no key, header or
 * value can be taken for one, whatever bytes it holds.
 */
import { randomBytes } from 'node:crypto'
import { AuditError } from './audit-error.js'
import type { TopicRecord } from './topic-record.js'

export interface ConsoleFormat {
  readonly field: string
  readonly header: string
  readonly record: string
  readonly absent: string
}

/** Separators that nothing else contains. */
export function newConsoleFormat(word = randomBytes(12).toString('hex')): ConsoleFormat {
  return {
    field: `<field ${word}>`,
    header: `<header ${word}>`,
    record: `<record ${word}>`,
    absent: `<absent ${word}>`,
  }
}

/** The options of DefaultMessageFormatter (Kafka 4.3.1) that write this format. It cannot write the topic's name. */
export function formatterOptions(format: ConsoleFormat): string[] {
  const properties = {
    'print.timestamp': 'true',
    'print.partition': 'true',
    'print.offset': 'true',
    'print.headers': 'true',
    'print.key': 'true',
    'print.value': 'true',
    'key.separator': format.field,
    'headers.separator': format.header,
    'line.separator': format.record,
    'null.literal': format.absent,
  }
  return Object.entries(properties).flatMap(([name, value]) => ['--formatter-property', `${name}=${value}`])
}

// Latin-1 maps each byte to one character and back, so a value that is not UTF-8 survives the splitting.
const bytesOf = (field: string): Buffer => Buffer.from(field, 'latin1')
const textOf = (field: string): string => bytesOf(field).toString('utf8')

/**
 * Reads what the console consumer wrote about one topic. A record that was cut off at the end is refused: the reader
 * ended the consumer too early.
 */
export function parseConsoleOutput(topic: string, format: ConsoleFormat, output: Buffer): TopicRecord[] {
  const lines = output.toString('latin1').split(format.record)
  const rest = lines.pop()
  if (rest !== undefined && rest !== '')
    throw new AuditError(`${topic}: the console consumer's output ends inside a record: ${rest.slice(-200)}`)
  return lines.map((line) => parseRecord(topic, format, line))
}

function parseRecord(topic: string, format: ConsoleFormat, line: string): TopicRecord {
  const [timestamp, partition, offset, headers, key, value, ...more] = line.split(format.field)
  const timestampMs = numberAfter(/^(?:CreateTime|LogAppendTime):(-?\d+)$/, timestamp)
  const partitionNumber = numberAfter(/^Partition:(\d+)$/, partition)
  const offsetNumber = numberAfter(/^Offset:(\d+)$/, offset)
  const misread = timestampMs === undefined || partitionNumber === undefined || offsetNumber === undefined
  if (misread || headers === undefined || key === undefined || value === undefined || more.length > 0) {
    throw new AuditError(`${topic}: not a record of the console consumer: ${line.slice(0, 200)}`)
  }
  return {
    topic,
    partition: partitionNumber,
    offset: offsetNumber,
    timestampMs,
    key: key === format.absent ? null : textOf(key),
    headers: parseHeaders(format, headers),
    value: value === format.absent ? null : bytesOf(value),
  }
}

const numberAfter = (pattern: RegExp, field: string | undefined): number | undefined => {
  const digits = pattern.exec(field ?? '')?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** `name:value` pairs; a name with a colon cannot be told from its value, and Kafka's headers in use here have none. */
function parseHeaders(format: ConsoleFormat, field: string): ReadonlyMap<string, string | null> {
  if (field === 'NO_HEADERS') return new Map()
  return new Map(
    field.split(format.header).map((pair) => {
      const colon = pair.indexOf(':')
      const value = pair.slice(colon + 1)
      return [textOf(pair.slice(0, colon)), value === format.absent ? null : textOf(value)]
    }),
  )
}
