import type { Case } from '../case.js'
import { NotApplicable } from '../verdict.js'
import { isSent } from './is-sent.js'

export const lateAddPartitions: Case = {
  name: 'late-add-partitions',
  promise:
    'An AddPartitionsToTxn that was on its way when its connection broke arrives in the next transaction of the same id: that one takes effect as its user was told, and no transaction hangs.',
  async run(stage) {
    const topic = await stage.topic({ partitions: 2 })
    const user = await stage.openUser()
    using held = stage.proxy.on({ request: 'AddPartitionsToTxn' }, 'hold')
    const producing = user.produce(['first'], { topic })
    const late = await isSent(held, producing)
    if (late === undefined) throw new NotApplicable('no AddPartitionsToTxn is sent')
    stage.proxy.cutAll()
    const { opened } = user
    if ((await producing) !== undefined || (await user.commit()) !== undefined) await user.recover()

    if (user.opened === opened) await user.untilSameId({ topic })
    const elsewhere = { topic, partition: 1 }
    const refused = await user.produce(['next'], elsewhere)
    await late.deliver()
    if (refused !== undefined || (await user.commit()) !== undefined) await user.recover()
    await user.transactAtLast(['last'], elsewhere)
    await stage.judge()
  },
}
