import type { Case } from '../case.js'

const perId = 33_000
const withinMs = 15 * 60_000

export const epochRotation: Case = {
  name: 'epoch-rotation',
  promise:
    '33,000 transactions on one transactional id, more than a producer epoch has values: every one of them is in the log once.',
  withinMs: withinMs + 120_000,
  async run(stage) {
    const topic = await stage.topic()
    const user = stage.user()
    await user.open('back-to-back')
    const count = perId * stage.client.idsInTurn
    await user.publishEach({ topic, partition: 0, prefix: 'event', count }, withinMs)
    await stage.judge()
    return `${count.toLocaleString('en')} transactions`
  },
}
