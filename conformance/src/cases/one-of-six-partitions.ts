import type { Case } from '../case.js'
import { Failed } from '../verdict.js'

const dayMs = 86_400_000

export const oneOfSixPartitions: Case = {
  name: 'one-of-six-partitions',
  promise:
    'The broker refuses the records of one partition of six, and the program commits without having looked at that answer: the other five are not committed.',
  async run(stage) {
    const partitions = [0, 1, 2, 3, 4, 5]
    const config = { 'message.timestamp.before.max.ms': String(dayMs) }
    const topic = await stage.topic({ partitions: partitions.length, config })
    const user = await stage.openUser()
    const refused = await user.produceRecords(
      partitions.map((partition) => ({
        topic,
        partition,
        value: `of partition ${partition}`,
        timestampMs: partition === 3 ? Date.now() - 2 * dayMs : Date.now(),
      })),
    )
    // As a program does that sends without waiting for each answer: Java's producer refuses such a commit.
    if ((await user.commit()) === undefined) {
      const visible = await stage.visible()
      if (visible.length === partitions.length)
        throw new Error('the broker took a record that it was to refuse')
      const told = refused === undefined ? 'nobody was told' : 'the client said so'
      throw new Failed(
        `one partition was refused, ${told}, and commit() made ${visible.length} of 6 records visible`,
      )
    }
    await user.recover()
    await user.transactAtLast(['next'], { topic })
    await stage.judge()
  },
}
