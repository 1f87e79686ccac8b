/**
 * Records as lines of text, the form in which the Java programs of these tests take and give them: timestamp, key,
 * value, then each header as `name=value`; bytes in hex, `-` for null.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runJavaProgram } from '@internal/audit'
import type { ConsumedRecord } from '../src/index.js'

export type SampleRecord = Omit<ConsumedRecord, 'offset' | 'headerTexts'>

export const lineOf = ({ timestampMs, key, value, headers }: SampleRecord): string =>
  [
    String(timestampMs),
    hexOf(key),
    hexOf(value),
    ...headers.map(([name, bytes]) => `${hexOf(Buffer.from(name))}=${hexOf(bytes)}`),
  ].join(' ')

const hexOf = (bytes: Buffer | null): string => (bytes === null ? '-' : bytes.toString('hex'))

const bytes = (...values: readonly number[]): Buffer => Buffer.from(values)
const nothing = Buffer.alloc(0)

/** Records at the edges of the format, then many small ones that are much alike, as events are. */
export function sampleRecords(timestampMs: number): SampleRecord[] {
  const of = (
    key: Buffer | null,
    value: Buffer | null,
    headers: [string, Buffer][] = [],
    earlierMs = 0,
  ): SampleRecord => ({ timestampMs: timestampMs - earlierMs, key, value, headers })
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  return [
    of(Buffer.from('an order'), Buffer.from('{"price":"3 €","rocket":"🚀"}'), [
      ['ce_id', Buffer.from('id-1')],
    ]),
    of(Buffer.from('a tombstone'), null),
    of(null, nothing),
    of(nothing, null),
    of(null, null),
    of(bytes(0, 0, 0, 0), every), // the key of an abort marker
    of(every, bytes(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0)), // the head of a snappy stream
    of(Buffer.from('headers'), nothing, [
      ['twice', Buffer.from('one')],
      ['twice', Buffer.from('two')],
      ['', Buffer.from('no name')],
      ['no value', nothing],
      ['ünïcödé', every],
    ]),
    of(Buffer.from('earlier'), nothing, [], 86_400_000), // clocks go backwards
    of(Buffer.from('large'), Buffer.alloc(900_000, 'a large value. ')),
    ...Array.from({ length: 6_000 }, (_, n) =>
      of(Buffer.from(`key-${n % 100}`), Buffer.from(`{"orderId":${n},"status":"placed"}`), [
        ['ce_type', Buffer.from('order.placed')],
        ['ce_id', Buffer.from(String(n * 7_919))],
      ]),
    ),
  ]
}

/** Runs a program of `test/java` and returns what it printed. Each of `files` is passed as the path of a file with that text. */
export async function runJava(
  program: string,
  classpath: string,
  ...passed: readonly (string | { readonly file: string })[]
): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'oncebox-java-'))
  try {
    const paths = passed.map(async (argument, index) => {
      if (typeof argument === 'string') return argument
      const file = path.join(directory, String(index))
      await writeFile(file, argument.file)
      return file
    })
    const output = await runJavaProgram({
      classpath,
      source: fileURLToPath(new URL(`./java/${program}.java`, import.meta.url)),
      arguments: await Promise.all(paths),
      signal: AbortSignal.timeout(javaDeadlineMs),
    })
    return output.toString()
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const javaDeadlineMs = 150_000

/** What Apache's consumer reads in partition 0 of each topic: lines of {@link lineOf}, and the type of their timestamps. */
export async function readWithJava(
  { brokers, classpath }: { readonly brokers: readonly string[]; readonly classpath: string },
  topics: readonly string[],
): Promise<ReadonlyMap<string, { readonly lines: string[]; readonly timestampTypes: ReadonlySet<string> }>> {
  const found = new Map(
    topics.map((topic) => [topic, { lines: [] as string[], timestampTypes: new Set<string>() }]),
  )
  for (const line of (await runJava('ReadRecords', classpath, brokers.join(), ...topics)).split('\n')) {
    const [, topic = '', timestampType = '', record = ''] = /^(\S+) (\S+) (.*)$/.exec(line) ?? []
    found.get(topic)?.lines.push(record)
    found.get(topic)?.timestampTypes.add(timestampType)
  }
  return found
}
