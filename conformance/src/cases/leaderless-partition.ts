import { setTimeout as delay } from 'node:timers/promises'
import { dumpPartition } from '@internal/audit'
import type { Case } from '../case.js'
import type { Stage } from '../stage.js'
import type { User } from '../user.js'
import { Failed } from '../verdict.js'

// Kafka 4.3.1 gives up writing the marker after about 10 s; 3.9 goes on until the broker is back.
const absenceMs = 15_000
const attemptsMax = 5

/** KAFKA-20734, a bug of the broker: a client can do no more than notice, before it destroys what was acknowledged. */
export const leaderlessPartition: Case = {
  name: 'leaderless-partition',
  promise:
    'A partition has no leader while the markers of a commit are written (KAFKA-20734, a bug of brokers): the acknowledged records are there when it is back, whatever the client does next, or the client says that they are at risk before it destroys them.',
  nodes: 2,
  async run(stage) {
    const [topic, elsewhere] = [
      await stage.topic({ assignment: [[2]] }),
      await stage.topic({ assignment: [[1]] }),
    ]
    const user = await stage.openUser()
    const record = await commitWithoutLeader(stage, user, { topic, elsewhere })

    // The next one of the same id waits until the coordinator is done with this one, or is given up.
    const waiting = user
      .untilSameId({ topic: elsewhere })
      .then(() => user.transactAtLast(['meanwhile'], { topic: elsewhere }))
      .catch(() => undefined)
    await Promise.race([waiting, delay(absenceMs, undefined, { ref: false, signal: stage.signal })])
    await stage.ground.cluster.node(2).start()
    await waiting

    for (let turn = 0; turn < stage.client.idsInTurn; turn++) {
      const complaint = await user.produce([`to be aborted, ${turn}`], { topic })
      if (complaint?.says === 'torn') return await stillThere(stage, { topic, record, told: complaint.name })
      await user.recover()
    }
    await user.transactAtLast(['last'], { topic: elsewhere })
    await stage.judge()
    return undefined
  },
}

/**
 * The broker of the partition dies between produce and commit; resolves with the record, which was acknowledged and
 * committed. A client may ask the dead broker where the coordinator is, and give up: then there is nothing to lose, and it
 * tries again.
 */
async function commitWithoutLeader(
  stage: Stage,
  user: User,
  { topic, elsewhere }: { readonly topic: string; readonly elsewhere: string },
): Promise<string> {
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    await user.transactAtLast([`before, ${attempt}`], { topic })
    await user.untilSameId({ topic: elsewhere })
    const record = `acknowledged, its broker dead, ${attempt}`
    const refused = await user.produce([record], { topic })
    await stage.ground.cluster.node(2).kill()
    if (refused === undefined && (await user.commit()) === undefined) return record
    await stage.ground.restore()
    await user.recover()
  }
  throw new Error(`no commit was acknowledged in ${attemptsMax} attempts`)
}

interface AtRisk {
  readonly topic: string
  readonly record: string
  /** What the client called it. */
  readonly told: string
}

async function stillThere(stage: Stage, { topic, record, told }: AtRisk): Promise<string> {
  const { judgeClasspath: classpath, node } = stage.ground.cluster
  const dumped = await dumpPartition({
    classpath,
    logDir: node(2).logDir,
    topic,
    partition: 0,
    signal: stage.signal,
  })
  const at = dumped.findIndex((entry) => 'value' in entry && entry.value === record)
  if (at === -1) throw new Failed('acknowledged, committed, not in the log')
  const producer = dumped[at]?.producerId
  const destroyed = dumped
    .slice(at)
    .some((entry) => 'ends' in entry && entry.ends === 'ABORT' && entry.producerId === producer)
  if (destroyed) throw new Failed(`acknowledged, committed, then aborted: ${record}`)
  return `${told}: nothing more is sent there, and what was acknowledged is in the log`
}
