import type { Case } from '../case.js'
import { hasHappened } from './has-happened.js'

export const lostProduceAnswerThenRetry: Case = {
  name: 'lost-produce-answer-then-retry',
  promise:
    'The answer to Produce is lost once, and client or user tries again: each record is in the log once.',
  async run(stage) {
    const topic = await stage.topic({ partitions: 3 })
    const user = await stage.openUser()
    await user.transactAtLast(['before'], { topic })

    using lost = stage.proxy.on({ answer: 'Produce' }, 'cut-before')
    await user.transactAtLast(['first', 'second', 'third'], { topic })
    await user.transactAtLast(['next'], { topic })
    await stage.judge()
    hasHappened(lost, 'answer to Produce')
  },
}
