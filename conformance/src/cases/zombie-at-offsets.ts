import { readGroupOffset } from '@internal/audit'
import { randomName } from '@internal/stack'
import type { Case } from '../case.js'
import { describe } from '../user.js'
import { Failed, NotApplicable } from '../verdict.js'
import { isSent } from './is-sent.js'

export const zombieAtOffsets: Case = {
  name: 'zombie-at-offsets',
  promise:
    "An instance whose input offsets are on their way while another takes over its transactional id cannot move the group's offset any more, and says so.",
  async run(stage) {
    const [topic, input, group] = [await stage.topic(), await stage.topic(), randomName('group')]
    const offsetsAt = (offset: string) => ({ group, topic: input, partition: 0, offset })
    const zombie = await stage.openUser()
    using held = stage.proxy.on({ request: /^(AddOffsetsToTxn|TxnOffsetCommit)$/ }, 'hold')
    const producing = zombie.produce(["the zombie's"], { topic, offsets: offsetsAt('3') })
    const late = await isSent(held, producing)
    if (late === undefined) {
      const complaint = await producing
      throw new NotApplicable(
        `no offsets are sent: ${complaint === undefined ? 'produce was acknowledged' : describe(complaint)}`,
      )
    }

    const owner = await stage.openUser()
    await owner.transactAtLast(["the new owner's"], { topic, offsets: offsetsAt('7') })
    await late.deliver()
    const refused = (await producing) ?? (await zombie.commit())
    if (refused === undefined) throw new Failed('the fenced instance says that its transaction was committed')
    await owner.transactAtLast(["the new owner's next"], { topic })
    await stage.judge()
    const offset = await readGroupOffset({
      brokers: stage.brokers,
      classpath: stage.ground.cluster.judgeClasspath,
      signal: stage.signal,
      group,
      topic: input,
      partition: 0,
    })
    if (offset !== '7')
      throw new Failed(`the group's offset is ${offset ?? 'missing'}, the new owner committed 7`)
  },
}
