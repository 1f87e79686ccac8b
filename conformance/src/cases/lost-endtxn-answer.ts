import type { Case } from '../case.js'
import { hasHappened } from './has-happened.js'

export const lostEndTxnAnswerOnCommit: Case = {
  name: 'lost-endtxn-answer-on-commit',
  promise:
    'The answer to EndTxn(commit) is lost: the client finds out what became of it or says that it does not know, and can go on.',
  async run(stage) {
    const topic = await stage.topic()
    const user = await stage.openUser()
    using lost = stage.proxy.on({ answer: 'EndTxn' }, 'cut-before')
    const said = await user.transact(['whole', 'or not at all'], { topic })
    await user.transactAtLast(['next'], { topic })
    await user.transactAtLast(['last'], { topic })
    await stage.judge()
    hasHappened(lost, 'answer to EndTxn')
    return `it says: ${said}`
  },
}

export const lostEndTxnAnswerOnAbort: Case = {
  name: 'lost-endtxn-answer-on-abort',
  promise: 'The answer to EndTxn(abort) is lost: nothing of it is visible, ever, and the client can go on.',
  async run(stage) {
    const topic = await stage.topic()
    const user = await stage.openUser()
    await user.produce(['aborted'], { topic })
    using lost = stage.proxy.on({ answer: 'EndTxn' }, 'cut-before')
    await user.recover()
    await user.transactAtLast(['next'], { topic })
    await user.transactAtLast(['last'], { topic })
    await stage.judge()
    hasHappened(lost, 'answer to EndTxn')
  },
}
