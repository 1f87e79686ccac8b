import type { Case } from '../case.js'
import type { Stage } from '../stage.js'
import type { User } from '../user.js'
import { Failed } from '../verdict.js'

/**
 * Another instance of the transactional id takes over while this one is paused, and commits. Then it wakes up and goes on
 * where it was.
 */
async function takeOver(stage: Stage, zombie: User, topic: string): Promise<User> {
  zombie.pause()
  const owner = await stage.openUser()
  await owner.transactAtLast(["the new owner's"], { topic })
  zombie.resume()
  return owner
}

/** It may end its transaction or begin another, as users do; the new owner must not notice. */
async function ownerGoesOn(stage: Stage, zombie: User, owner: User, topic: string): Promise<void> {
  await zombie.abort()
  const refused = (await zombie.produce(["the zombie's next"], { topic })) ?? (await zombie.commit())
  if (refused === undefined) throw new Failed('the paused instance took its id back by itself, and published')
  await owner.transactAtLast(["the new owner's next"], { topic })
  await stage.judge()
}

export const zombieAtProduce: Case = {
  name: 'zombie-at-produce',
  promise:
    'An instance that was paused while another took over its transactional id cannot publish any more, and says so.',
  async run(stage) {
    const topic = await stage.topic()
    const zombie = await stage.openUser()
    await zombie.transactAtLast(['before'], { topic })
    const owner = await takeOver(stage, zombie, topic)
    const refused = (await zombie.produce(["the zombie's"], { topic })) ?? (await zombie.commit())
    if (refused === undefined)
      throw new Failed('what the paused instance published afterwards was committed, it says')
    await ownerGoesOn(stage, zombie, owner, topic)
  },
}

export const zombieAtCommit: Case = {
  name: 'zombie-at-commit',
  promise:
    'An instance that was paused between produce and commit while another took over its transactional id cannot commit, and says so.',
  async run(stage) {
    const topic = await stage.topic()
    const zombie = await stage.openUser()
    await zombie.produce(["the zombie's"], { topic })
    const owner = await takeOver(stage, zombie, topic)
    const refused = await zombie.commit()
    if (refused === undefined) throw new Failed('the paused instance says that its transaction was committed')
    await ownerGoesOn(stage, zombie, owner, topic)
  },
}
