import { setTimeout as delay } from 'node:timers/promises'
import type { Case } from '../case.js'
import { hasHappened } from './has-happened.js'

// Some clients give up after a few seconds, others never.
const outageMs = 12_000

export const lostProduceAnswerThenAbort: Case = {
  name: 'lost-produce-answer-then-abort',
  promise:
    'Answers to Produce are lost until the client gives up, and the user aborts: nothing of that is visible, and what is committed afterwards is in the log.',
  async run(stage) {
    const topic = await stage.topic()
    const user = await stage.openUser()
    await user.transactAtLast(['before'], { topic })

    const lost = stage.proxy.on({ answer: 'Produce', nth: 'every' }, 'cut-before')
    const producing = user.produce(['aborted'], { topic })
    await Promise.race([producing, delay(outageMs, undefined, { ref: false, signal: stage.signal })])
    lost.remove()
    await producing
    await user.recover()

    await user.transactAtLast(['next'], { topic })
    await user.transactAtLast(['last'], { topic })
    await stage.judge()
    hasHappened(lost, 'answer to Produce')
  },
}
