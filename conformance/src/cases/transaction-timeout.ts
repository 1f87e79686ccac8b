import type { Case } from '../case.js'
import type { Complaint } from '../driver.js'
import { untilDecided } from '../ground/until-decided.js'
import type { Stage } from '../stage.js'
import { describe } from '../user.js'
import { Failed } from '../verdict.js'

const transactionTimeoutMs = 2_000

export const transactionTimeout: Case = {
  name: 'transaction-timeout',
  promise:
    'A transaction that outlived its timeout is not committed, its error can be told from that of an instance that was fenced, and the client can go on.',
  async run(stage) {
    const topic = await stage.topic()
    const timedOut = await commitAfterTimeout(stage, topic)
    const fenced = await commitAfterTakeOver(stage, topic)
    await stage.judge()
    if (timedOut.name === fenced.name)
      throw new Failed(`the same error for its own timeout and for being fenced: ${describe(timedOut)}`)
    return `${timedOut.name}; when fenced, ${fenced.name}`
  },
}

async function commitAfterTimeout(stage: Stage, topic: string): Promise<Complaint> {
  await using user = await stage.openUser({ transactionTimeoutMs })
  await user.produce(['too late'], { topic })
  await untilDecided(stage.brokers, topic, stage.signal)
  const refused = await user.commit()
  if (refused === undefined)
    throw new Failed('it says that a transaction was committed which the coordinator has aborted')
  await user.recover()
  await user.transactAtLast(['next'], { topic })
  return refused
}

async function commitAfterTakeOver(stage: Stage, topic: string): Promise<Complaint> {
  await using user = await stage.openUser()
  await user.produce(['fenced'], { topic })
  const owner = await stage.openUser()
  await owner.transactAtLast(["the new owner's"], { topic })
  const refused = await user.commit()
  if (refused === undefined) throw new Failed('a fenced instance says that its transaction was committed')
  return refused
}
