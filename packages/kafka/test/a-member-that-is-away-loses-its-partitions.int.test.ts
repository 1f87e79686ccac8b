import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { startProxy } from '@internal/proxy'
import { randomName, startKafkaCluster, startPrivateKafka } from '@internal/stack'
import { delay } from '@oncebox/core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { clusterOf } from '../src/cluster.js'
import { Deadline } from '../src/deadline.js'
import { readGroupOffsets, type KafkaClient } from '../src/index.js'
import { kafkaVersions, setUp, useKafka } from './fixture.js'
import { holds, join } from './joining.js'
import { moment } from './moment.js'

const program = fileURLToPath(new URL('programs/member.mjs', import.meta.url))

interface MemberProcess {
  readonly kill: (signal: NodeJS.Signals) => void
  /** Commits offset 7 as the first generation that it had. */
  commit(): void
  /** Resolves with the next thing that it says with this field. */
  says(field: string): Promise<Readonly<Record<string, unknown>>>
}

function startMember(settings: object): MemberProcess {
  const child = spawn(process.execPath, [program, JSON.stringify(settings)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(async () => {
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
  })
  const said: Record<string, unknown>[] = []
  const listeners = new Set<() => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    said.push(JSON.parse(line) as Record<string, unknown>) // what the program prints
    listeners.forEach((look) => look())
  })
  return {
    kill: (signal) => void child.kill(signal),
    commit: () => void child.stdin.write('commit\n'),
    says: (field) =>
      new Promise((resolve) => {
        const look = (): void => {
          const index = said.findIndex((one) => field in one)
          if (index < 0) return
          listeners.delete(look)
          resolve(said.splice(index, 1)[0] ?? {})
        }
        listeners.add(look)
        look()
      }),
  }
}

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  const kafka = useKafka(version)

  test('a process that is stopped past its session and wakes up has lost everything: Kafka refuses its commit', async () => {
    const { brokers, client, topic } = await setUp({ brokers: kafka.brokers() })
    const groupId = randomName('group')
    const zombie = startMember({ brokers, groupId, topic, sessionTimeoutMs: 2_000 })
    const { generationId } = await zombie.says('generationId')
    expect(generationId).toBe(1)
    zombie.kill('SIGSTOP')
    const { assignment } = join(client, { groupId, topics: [topic], sessionTimeoutMs: 2_000 })
    const { commitOffsets } = await assignment(holds(1)) // the group has given up the stopped one
    await commitOffsets([{ topic, partition: 0, offset: 100n }])

    zombie.commit() // read as soon as it wakes
    zombie.kill('SIGCONT')
    expect(await zombie.says('outcome')).toEqual({ outcome: 'KAFKA_GROUP_FENCED' })
    expect(await zombie.says('lost')).toMatchObject({ lost: 1 })
    expect(await readGroupOffsets(client, { groupId })).toMatchObject([{ offset: 100n }])
    // It joins again, as a member like any other.
    expect((await zombie.says('generationId'))['generationId']).toBeGreaterThan(1)
  })

  test('a process that is stopped and wakes up knows that it has lost its partitions before anybody tells it', async () => {
    const { brokers, topic } = await setUp({ brokers: kafka.brokers() })
    const groupId = randomName('group')
    const sleeper = startMember({ brokers, groupId, topic, sessionTimeoutMs: 2_000 })
    await sleeper.says('generationId')
    sleeper.kill('SIGSTOP')
    await delay(2_500) // its session is over by the clock
    sleeper.kill('SIGCONT')
    expect(await sleeper.says('lost')).toMatchObject({
      lost: 1,
      reason: expect.stringContaining('no heartbeat was answered'),
    })
  })
})

test('a member whose heartbeats are not answered gives up what it has within its session, and comes back', async () => {
  let proxy: Awaited<ReturnType<typeof startProxy>> | undefined
  await using kafka = await startPrivateKafka({
    proxiedAt: async (upstream) => (proxy = await startProxy({ protocol: 'kafka', upstream })).port,
  })
  if (proxy === undefined) throw new Error('the broker asks for its proxy before it starts')
  await using way = proxy
  const { client, topic } = await setUp({
    brokers: [`${way.host}:${way.port}`],
    judgeBrokers: kafka.brokers,
  })
  const groupId = randomName('group')
  const { assignment, failures, troubles } = join(client, {
    groupId,
    topics: [topic],
    sessionTimeoutMs: 2_000,
  })
  const { lost, metadata } = await assignment()
  way.blackhole()
  const since = performance.now()
  if (!lost.aborted) await once(lost, 'abort')
  expect(performance.now() - since).toBeLessThan(3_500)
  expect(lost.reason).toMatchObject({ code: 'KAFKA_GROUP_FENCED' })

  way.heal()
  const again = await assignment(({ metadata: { generationId } }) => generationId > metadata.generationId)
  expect(again.partitions).toHaveLength(1)
  expect(failures).toEqual([])
  expect(troubles.length).toBeGreaterThan(0)
})

test('a rebalance waits for what is in hand, then no longer', async () => {
  const { client, topic } = await setUp({ partitions: 2 })
  const groupId = randomName('group')
  const finish = moment()
  const finished: string[] = []
  const first = join(client, {
    groupId,
    topics: [topic],
    rebalanceTimeoutMs: 4_000,
    work: async ({ ending, lost }) => {
      if (!ending.aborted) await once(ending, 'abort')
      await Promise.race([finish.reached, once(lost, 'abort')])
      finished.push(lost.aborted ? 'given up' : 'finished')
    },
  })
  const held = await first.assignment(holds(2))
  const second = join(client, { groupId, topics: [topic], rebalanceTimeoutMs: 4_000 })
  // The group must not share anything out while the first is at work.
  if (!held.ending.aborted) await once(held.ending, 'abort')
  expect(second.assignments).toEqual([])
  finish.reach()
  await Promise.all([first.assignment(holds(1)), second.assignment(holds(1))])
  expect(finished).toEqual(['finished'])

  // Work that is never finished is told to give up after half of the rebalance timeout.
  const stubborn = join(client, {
    groupId: randomName('group'),
    topics: [topic],
    rebalanceTimeoutMs: 2_000,
    work: async ({ lost }) => {
      if (!lost.aborted) await once(lost, 'abort')
      finished.push('given up')
    },
  })
  const { lost } = await stubborn.assignment()
  const since = performance.now()
  await stubborn.member.leave()
  expect(performance.now() - since).toBeGreaterThan(900)
  expect(performance.now() - since).toBeLessThan(5_000)
  expect(lost.reason).toMatchObject({ code: 'KAFKA_GROUP_FENCED' })
  expect(finished).toEqual(['finished', 'given up'])
})

test('a member that leaves while it joins is not waited for by the group', async () => {
  const { client, topic } = await setUp({ partitions: 2 })
  const groupId = randomName('group')
  const finish = moment()
  const first = join(client, {
    groupId,
    topics: [topic],
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 60_000,
    work: async ({ ending }) => {
      if (!ending.aborted) await once(ending, 'abort')
      await finish.reached
    },
  })
  const held = await first.assignment(holds(2))
  const second = join(client, {
    groupId,
    topics: [topic],
    sessionTimeoutMs: 60_000,
    rebalanceTimeoutMs: 60_000,
  })
  if (!held.ending.aborted) await once(held.ending, 'abort') // the second is in the group, and waits for the first
  const since = performance.now()
  await second.member.leave()
  expect(performance.now() - since).toBeLessThan(4_000)
  finish.reach()
  expect((await first.assignment(({ metadata }) => metadata.generationId > 1)).partitions).toHaveLength(2)
  // With a ghost in the group the rebalance would have taken its 60 s.
  expect(performance.now() - since).toBeLessThan(20_000)
  expect(second.assignments).toEqual([])
})

test('the coordinator is killed, and kept elsewhere: members go on in their generation', async () => {
  await using cluster = await startKafkaCluster()
  const { brokers } = cluster
  const { client, topic } = await setUp({ brokers, partitions: 3 })
  const groupId = randomName('group')
  const { assignment, failures } = join(client, { groupId, topics: [topic], sessionTimeoutMs: 20_000 })
  const { commitOffsets, lost, metadata } = await assignment(holds(3))
  await commitOffsets([{ topic, partition: 0, offset: 5n }])
  const coordinator = await coordinatorOf(client, brokers, groupId)
  await cluster.node(coordinator).kill()

  // The others have elected a new leader of the group's state, which has the generation too.
  await commitOffsets([{ topic, partition: 0, offset: 6n }])
  expect(await readGroupOffsets(client, { groupId })).toMatchObject([{ offset: 6n }])
  expect(await coordinatorOf(client, brokers, groupId)).not.toBe(coordinator)
  expect(lost.aborted).toBe(false)
  expect((await assignment()).metadata).toEqual(metadata)
  await cluster.node(coordinator).start()
  expect(failures).toEqual([])
})

/** The node that keeps the state of a group. */
async function coordinatorOf(
  client: KafkaClient,
  brokers: readonly string[],
  groupId: string,
): Promise<number> {
  using deadline = new Deadline(20_000, 'looking up the coordinator')
  const { host, port } = await clusterOf(client).coordinator('group', groupId, deadline)
  return 1 + brokers.indexOf(`${host}:${port}`)
}
