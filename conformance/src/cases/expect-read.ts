import type { Stage } from '../stage.js'
import type { User } from '../user.js'
import { Failed } from '../verdict.js'

interface Underway {
  /** It has come to the end. */
  readonly reader: User
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
  const reader = underway?.reader ?? stage.user()
  if (underway === undefined) {
    await reader.startReading(topic, stage.transactionalId)
    await reader.untilRead(expected.at(-1) ?? '')
  }
  const read = reader.read.map(({ value }) => value)
  const visible = await stage.visible()
  if (visible.join('\n') !== expected.join('\n'))
    throw new Error(`Apache's consumer reads ${visible.join(', ')}`)

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
    throw new Failed(`delivered in another order, or twice: ${read.join(', ')}`)
}

function refuse(what: string, values: readonly string[]): void {
  if (values.length > 0)
    throw new Failed(`${what}: ${values.slice(0, 3).join(', ')}, ${values.length} in all`)
}
