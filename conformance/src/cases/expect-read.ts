import { quoted } from '../ledger.js'
import type { Reader } from '../reader.js'
import type { Stage } from '../stage.js'
import { Failed } from '../verdict.js'

interface Underway {
  readonly reader: Reader
  /** What it had delivered while only the first record was decided. */
  readonly early: readonly string[]
}

/**
 * Reads the topic with the client up to the last expected value.
 * @throws Failed when that is not exactly what was expected; Error when Apache's consumer does not see that, either
 */
export async function expectRead(
  stage: Stage,
  topic: string,
  expected: readonly string[],
  underway?: Underway,
): Promise<void> {
  const reader = underway?.reader ?? (await stage.reader(topic))
  await reader.until(expected.at(-1) ?? '')
  const read = reader.values
  const visible = await stage.visible()
  if (visible.join('\n') !== expected.join('\n'))
    throw new Error(`Apache's consumer reads ${quoted(visible)}`)

  refuse(
    'delivered although it was aborted',
    read.filter((value) => !expected.includes(value)),
  )
  refuse(
    'committed, and not delivered',
    expected.filter((value) => !read.includes(value)),
  )
  refuse('delivered before it was decided', (underway?.early ?? []).slice(1))
  if (read.join('\n') !== expected.join('\n'))
    throw new Failed(`delivered in another order, or twice: ${quoted(read)}`)
}

function refuse(what: string, values: readonly string[]): void {
  if (values.length > 0) throw new Failed(`${what}: ${values.length} records, the first "${values[0]}"`)
}
