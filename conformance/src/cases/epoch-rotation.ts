import type { Case } from '../case.js'

const perId = 33_000
const atOnce = 1_000
// A thousand take seconds on a quiet machine. Who is slow is not stuck.
const thousandWithinMs = 300_000
const withinMs = 45 * 60_000

export const epochRotation: Case = {
  name: 'epoch-rotation',
  promise:
    '33,000 transactions on one transactional id, more than a producer epoch has values: every one of them is in the log once.',
  withinMs,
  async run(stage) {
    const topic = await stage.topic()
    const user = stage.user()
    await user.open('back-to-back')
    const count = perId * stage.client.idsInTurn
    for (let first = 0; first < count; first += atOnce) {
      const values = Array.from({ length: atOnce }, (_, index) => `event ${first + index}`)
      await user.publishEach({ topic, partition: 0, values }, thousandWithinMs)
    }
    await stage.judge()
    return `${count.toLocaleString('en')} transactions`
  },
}
