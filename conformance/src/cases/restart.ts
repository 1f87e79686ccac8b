import type { Case } from '../case.js'
import type { Settings } from '../driver.js'
import type { Stage } from '../stage.js'
import { Failed } from '../verdict.js'

export const restart: Case = {
  name: 'restart',
  promise:
    'A killed process that is started again with the same transactional id, and the settings that the documentation names, goes on: what was committed is there, what was open is not.',
  async run(stage) {
    try {
      await killAndStart(stage, 'documented')
    } catch (error) {
      if (!(error instanceof Failed)) throw error
      const otherwise = await killAndStart(stage, 'usual').then(
        () => '; with the settings of the other cases it goes on',
        () => '',
      )
      throw new Failed(`${error.message}${otherwise}`)
    }
    await stage.judge()
  },
}

async function killAndStart(stage: Stage, settings: Settings): Promise<void> {
  const topic = await stage.topic()
  const first = stage.user()
  await first.open(settings)
  await first.transactAtLast([`committed, ${settings}`], { topic })
  await first.produce([`left open, ${settings}`], { topic })
  await first.kill()
  const second = stage.user()
  await second.open(settings)
  await second.transactAtLast([`after the restart, ${settings}`], { topic })
  await second.kill()
}
