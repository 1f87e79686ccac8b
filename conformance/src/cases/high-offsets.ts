import { dumpPartition, readGroupOffset } from '@internal/audit'
import { randomName } from '@internal/stack'
import type { Case } from '../case.js'
import { LogWriter } from '../ground/log-writer.js'
import { raiseOffsets } from '../ground/raise-offsets.js'
import type { Stage } from '../stage.js'
import type { User } from '../user.js'
import { Failed } from '../verdict.js'

// Numbers in JavaScript are exact up to here: one more, and the next odd one is no number any more.
const exactMax = 2n ** 53n

export const highOffsets: Case = {
  name: 'offsets-above-2-53',
  promise:
    'Offsets above 2^53 are exact: of records that are read, and of a group whose offset is committed in a transaction and read again.',
  async run(stage) {
    const topic = await stage.topic()
    await using writer = new LogWriter(stage.brokers, topic)
    const producer = await writer.producer()
    for (const value of ['first', 'second']) await (await (await producer.begin()).write(value)).commit()
    await (await (await producer.begin()).write('aborted')).abort()
    await raiseOffsets(stage.ground.cluster.node(1), topic, exactMax - 2n)

    const user = await stage.openUser()
    await user.transactAtLast(["the user's"], { topic })
    await readBack(stage, topic)
    await commitOffset(stage, user, topic)
  },
}

/** The same offsets as in the partition's file, by DumpLogSegments: the console consumer's are read as numbers here. */
async function readBack(stage: Stage, topic: string): Promise<void> {
  const reader = await stage.reader(topic)
  await reader.until("the user's")
  const { judgeClasspath: classpath, node } = stage.ground.cluster
  const { signal } = stage
  const dumped = await dumpPartition({ classpath, logDir: node(1).logDir, topic, partition: 0, signal })
  const written = dumped.flatMap((entry) =>
    'value' in entry && entry.value !== 'aborted' ? [`${entry.value} at ${entry.offset}`] : [],
  )
  if (!written.at(-1)?.endsWith(` at ${exactMax + 4n}`)) throw new Error(`the log has ${written.join(', ')}`)
  const read = reader.records.map(({ value, offset }) => `${value} at ${offset}`)
  if (read.join() !== written.join())
    throw new Failed(`the log has ${written.join(', ')}, read was ${read.join(', ')}`)
}

async function commitOffset(stage: Stage, user: User, topic: string): Promise<void> {
  const position = { group: randomName('group'), topic, partition: 0 }
  const offset = String(exactMax + 1n)
  await user.transactAtLast(['with an offset'], { topic, offsets: { ...position, offset } })
  const { brokers, signal } = stage
  const classpath = stage.ground.cluster.judgeClasspath
  const committed = await readGroupOffset({ brokers, classpath, signal, ...position })
  if (committed !== offset) throw new Failed(`${offset} was to be committed, ${committed ?? 'nothing'} was`)
  const read = await user.committedOffset(position)
  if (read !== offset) throw new Failed(`the group's offset is ${offset}, the client reads ${read ?? 'none'}`)
}
