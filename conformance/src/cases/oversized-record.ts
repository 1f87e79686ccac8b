import type { Case } from '../case.js'
import { describe } from '../user.js'
import { Failed } from '../verdict.js'

const maxMessageBytes = 100_000

export const oversizedRecord: Case = {
  name: 'oversized-record',
  promise:
    'A record that the topic does not take is refused with an error that says so, nothing of its transaction is visible, and the client can go on.',
  async run(stage) {
    const topic = await stage.topic({
      partitions: 2,
      config: { 'max.message.bytes': String(maxMessageBytes) },
    })
    const user = await stage.openUser()
    const refused = await user.produceRecords([
      { topic, partition: 0, value: 'beside it' },
      { topic, partition: 1, value: 'oversized', bytes: 2 * maxMessageBytes },
    ])
    if (refused === undefined)
      throw new Failed('a record that the broker refused is acknowledged, the client says')
    if (refused.says !== 'too-large')
      throw new Failed(`its error does not say that the record is too large: ${describe(refused)}`)
    await user.recover()
    await user.transactAtLast(['next'], { topic })
    await stage.judge()
    return refused.name
  },
}
