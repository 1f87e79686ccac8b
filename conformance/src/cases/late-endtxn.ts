import type { Case } from '../case.js'
import { NotApplicable } from '../verdict.js'
import type { Stage } from '../stage.js'
import { isSent } from './is-sent.js'

/**
 * KAFKA-17754: a connection breaks while EndTxn is on its way. The client sends it again, or its user opens a new producer;
 * then the old request arrives, in the next transaction of the same transactional id.
 */
export const lateEndTxn: Case = {
  name: 'late-endtxn',
  promise:
    'An EndTxn that was on its way when its connection broke arrives in the next transaction of the same id, and neither commits nor aborts a part of it (KAFKA-17754).',
  async run(stage) {
    const topic = await stage.topic({ partitions: 3 })
    await lateCommitInATransactionToAbort(stage, topic)
    await lateAbortInATransactionToCommit(stage, topic)
    await stage.judge()
  },
}

async function lateCommitInATransactionToAbort(stage: Stage, topic: string): Promise<void> {
  await using user = await stage.openUser()
  await user.produce(['committed late'], { topic })
  using held = stage.proxy.on({ request: 'EndTxn' }, 'hold')
  const ending = user.commit()
  const late = await isSent(held, ending)
  if (late === undefined) throw new NotApplicable('no EndTxn is sent')
  stage.proxy.cutAll()
  const { opened } = user
  if ((await ending) !== undefined) await user.recover()

  if (user.opened === opened) await user.untilSameId({ topic })
  await user.produce(['to be aborted'], { topic })
  await late.deliver()
  await user.recover()
  await user.transactAtLast(['last'], { topic })
}

async function lateAbortInATransactionToCommit(stage: Stage, topic: string): Promise<void> {
  const [one, other] = [
    { topic, partition: 1 },
    { topic, partition: 2 },
  ]
  await using user = await stage.openUser()
  await user.produce(['aborted late'], one)
  using held = stage.proxy.on({ request: 'EndTxn' }, 'hold')
  const ending = user.abort()
  const late = await isSent(held, ending)
  if (late === undefined) throw new NotApplicable('no EndTxn is sent')
  stage.proxy.cutAll()
  const { opened } = user
  if ((await ending) !== undefined) await user.open()

  if (user.opened === opened) await user.untilSameId(one)
  const first = ['first half', ...(stage.client.addsRecords ? [] : ['second half'])]
  const refused = await user.produce(first, one)
  await late.deliver()
  const refusedLater = stage.client.addsRecords
    ? (refused ?? (await user.produce(['second half'], other)))
    : refused
  if (refusedLater !== undefined || (await user.commit()) !== undefined) await user.recover()
  await user.transactAtLast(['last, too'], one)
}
