import type { Case } from '../case.js'
import type { Stage } from '../stage.js'
import type { Place } from '../user.js'
import { NotApplicable } from '../verdict.js'
import { isSent } from './is-sent.js'

export const lateProduce: Case = {
  name: 'late-produce',
  promise:
    'A Produce that was on its way when its connection broke arrives in the next transaction of the same id, and neither becomes part of it nor replaces any of it.',
  async run(stage) {
    const topic = await stage.topic({ partitions: 2 })
    await arrivingInTheNextTransaction(stage, 'before', { topic, partition: 0 })
    await arrivingInTheNextTransaction(stage, 'behind', { topic, partition: 1 })
    await stage.judge()
  },
}

/** The user aborts the transaction of the late request, whatever the client made of the broken connection. */
async function arrivingInTheNextTransaction(
  stage: Stage,
  when: 'before' | 'behind',
  place: Place,
): Promise<void> {
  await using user = await stage.openUser()
  using held = stage.proxy.on({ request: 'Produce' }, 'hold')
  const producing = user.produce([`late, ${when}`], place)
  const late = await isSent(held, producing)
  if (late === undefined) throw new NotApplicable('no Produce is sent')
  stage.proxy.cutAll()
  await producing
  const { opened } = user
  await user.recover()

  if (user.opened === opened) await user.untilSameId(place)
  using holdingOwn = stage.proxy.on({ request: 'Produce' }, 'hold')
  const next = user.produce([`own, ${when}`], place)
  const own = await isSent(holdingOwn, next)
  if (when === 'before') await late.deliver()
  await own?.deliver()
  await next
  if (when === 'behind') await late.deliver()
  if ((await next) !== undefined || (await user.commit()) !== undefined) await user.recover()
  await user.transactAtLast([`last, ${when}`], place)
}
