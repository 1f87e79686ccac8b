import type { Case } from '../case.js'
import { leaderOf, moveLeader, transactionState, untilLedByAnother } from '../ground/leaders.js'
import type { Stage } from '../stage.js'

export const coordinatorMoves: Case = {
  name: 'coordinator-moves',
  promise:
    'The transaction coordinator moves to another broker, or dies, between produce and commit: what the client says of the transaction is what became of it, and it can go on.',
  nodes: 3,
  async run(stage) {
    const warm = await stage.topic()
    const user = await stage.openUser()
    await user.transactAtLast(['before'], { topic: warm })

    for (const how of ['moved', 'killed'] as const) {
      const coordinator = await leaderOf(stage.brokers, transactionState)
      // Its records are elsewhere, so that nothing but the coordinator is missing.
      const others = [1, 2, 3].filter((nodeId) => nodeId !== coordinator)
      const topic = await stage.topic({ assignment: [[...others, coordinator]] })
      const refused = await user.produce([`coordinator ${how}`], { topic })
      await moveCoordinator(stage, coordinator, how)
      if (refused !== undefined || (await user.commit()) !== undefined) await user.recover()
      await user.transactAtLast([`next, coordinator ${how}`], { topic })
      await stage.ground.restore()
    }
    await stage.judge()
  },
}

async function moveCoordinator(stage: Stage, coordinator: number, how: 'moved' | 'killed'): Promise<void> {
  const { cluster } = stage.ground
  if (how === 'moved') return await moveLeader(stage.brokers, transactionState, 0, stage.signal)
  await cluster.node(coordinator).kill()
  await untilLedByAnother(stage.brokers, transactionState, 0, coordinator, stage.signal)
}
