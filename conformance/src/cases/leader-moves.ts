import type { Case } from '../case.js'
import { moveLeader } from '../ground/leaders.js'
import { Failed, NotApplicable } from '../verdict.js'
import { isSent } from './is-sent.js'

export const leaderMoves: Case = {
  name: 'leader-moves',
  promise:
    'Of two partitions in one batch, one is acknowledged by its leader, the other moves to that same broker while its request is on its way: each record is in the log once.',
  nodes: 3,
  async run(stage) {
    const topic = await stage.topic({
      assignment: [
        [1, 3, 2],
        [2, 1, 3],
      ],
    })
    const user = await stage.openUser()
    await user.produceRecords(
      [0, 1].map((partition) => ({ topic, partition, value: `before, ${partition}` })),
    )
    const refused = await user.commit()
    if (refused !== undefined) throw new Failed(`with nothing wrong, ${refused.message}`)

    using acknowledged = stage.ground.proxy(1).on({ answer: 'Produce' }, 'forward')
    using held = stage.ground.proxy(2).on({ request: 'Produce' }, 'hold')
    const producing = user.produceRecords(
      [0, 1].map((partition) => ({ topic, partition, value: `moved, ${partition}` })),
    )
    const late = await isSent(held, producing)
    if (late === undefined) throw new NotApplicable('nothing is sent to the second leader')
    await Promise.race([acknowledged.fired, producing])
    await moveLeader(stage.brokers, topic, 1, stage.signal)
    await late.deliver()
    if ((await producing) !== undefined || (await user.commit()) !== undefined) await user.recover()

    await user.transactAtLast(['last'], { topic, partition: 1 })
    await stage.judge()
  },
}
