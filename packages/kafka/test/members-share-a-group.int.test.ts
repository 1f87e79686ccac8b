import { createTopic, randomName } from '@internal/stack'
import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { commitGroupOffsets, readGroupOffsets } from '../src/index.js'
import { ask } from './following.js'
import { kafkaVersions, setUp, useKafka } from './fixture.js'
import { describe as list, holds, join } from './joining.js'

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  const kafka = useKafka(version)
  const start = (partitions = 1) => setUp({ partitions, brokers: kafka.brokers() })

  test('a member knows its generation, its id, and its partitions by the ids of their topics', async () => {
    const { client, topic } = await start(3)
    const groupId = randomName('group')
    const { assignment } = join(client, { groupId, topics: [topic] })
    const { topicId } = await client.describeTopic(topic)
    const { metadata, partitions } = await assignment()
    expect(metadata).toEqual({
      groupId,
      generationId: 1,
      memberId: expect.stringMatching(/^oncebox-/),
      groupInstanceId: null,
    })
    expect(partitions).toEqual([0, 1, 2].map((partition) => ({ topic, topicId, partition })))
  })

  test('members that come and go share all partitions, each has one owner, and who leaves is not waited for', async () => {
    const { client, topic } = await start(6)
    const groupId = randomName('group')
    const first = join(client, { groupId, topics: [topic], sessionTimeoutMs: 60_000 })
    await first.assignment(holds(6))
    const second = join(client, { groupId, topics: [topic], sessionTimeoutMs: 60_000 })
    const [one, other] = await Promise.all([first.assignment(holds(3)), second.assignment(holds(3))])
    expect(new Set([...one.partitions, ...other.partitions].map(({ partition }) => partition)).size).toBe(6)
    expect(one.metadata.generationId).toBe(other.metadata.generationId)

    const since = performance.now()
    await second.member.leave()
    await first.assignment(holds(6))
    expect(performance.now() - since).toBeLessThan(10_000)
    expect([first.failures, second.failures]).toEqual([[], []])
  })

  test('a static member that is back in time finds its partitions, and nobody rebalances; with topics it had not, the group does', async () => {
    const { client, topic } = await start(4)
    const groupId = randomName('group')
    const other = join(client, { groupId, topics: [topic], groupInstanceId: 'b' })
    await other.assignment(holds(4))
    const given = { groupId, topics: [topic], groupInstanceId: 'a', sessionTimeoutMs: 30_000 }
    const first = join(client, given)
    const before = await first.assignment(holds(2))
    await other.assignment(holds(2))
    const generations = other.assignments.length
    await first.member.leave()

    const second = join(client, given)
    const after = await second.assignment()
    expect(after.partitions).toEqual(before.partitions)
    expect(after.metadata).toMatchObject({
      generationId: before.metadata.generationId,
      groupInstanceId: 'a',
    })
    await after.commitOffsets([{ topic, partition: after.partitions[0]?.partition ?? 0, offset: 0n }])
    expect(other.assignments).toHaveLength(generations)

    // The leader is back, too, and sees what was added while it was away.
    await other.member.leave()
    await ask(kafka.brokers(), (admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 6 }] }))
    const back = join(client, { groupId, topics: [topic], groupInstanceId: 'b' })
    await Promise.all([back.assignment(holds(3)), second.assignment(holds(3))])

    const more = await createTopic('more', { partitions: 2, brokers: kafka.brokers() })
    await second.member.leave()
    const third = join(client, { ...given, topics: [topic, more] })
    const all = await third.assignment(({ partitions }) => partitions.some((one) => one.topic === more))
    expect(all.partitions.filter((one) => one.topic === more)).toHaveLength(2)
  })

  test('of two static members with one id the older is told so, and ends', async () => {
    const { client, topic } = await start(1)
    const groupId = randomName('group')
    const older = join(client, { groupId, topics: [topic], groupInstanceId: 'one' })
    const { lost } = await older.assignment(holds(1))
    const newer = join(client, { groupId, topics: [topic], groupInstanceId: 'one' })
    await newer.assignment(holds(1))
    await expect
      .poll(() => older.failures, { timeout: 10_000 })
      .toMatchObject([
        { code: 'KAFKA_GROUP_REFUSED', message: expect.stringContaining('groupInstanceId "one"') },
      ])
    expect(lost.aborted).toBe(true)
    expect(newer.failures).toEqual([])
  })

  test('offsets are committed by the member of a generation, and read by anybody', async () => {
    const { client, topic } = await start(2)
    const groupId = randomName('group')
    const { assignment, member } = join(client, { groupId, topics: [topic] })
    const { commitOffsets } = await assignment()
    expect(await readGroupOffsets(client, { groupId })).toEqual([])
    const far = 2n ** 53n + 1n
    await commitOffsets([
      { topic, partition: 0, offset: 5n },
      { topic, partition: 1, offset: far, metadata: 'so far' },
    ])
    expect(await readGroupOffsets(client, { groupId })).toEqual([
      { topic, partition: 0, offset: 5n, metadata: '' },
      { topic, partition: 1, offset: far, metadata: 'so far' },
    ])
    expect(await readGroupOffsets(client, { groupId, partitions: [{ topic, partition: 0 }] })).toHaveLength(1)
    expect(
      await ask(kafka.brokers(), (admin) => admin.fetchOffsets({ groupId, topics: [topic] })),
    ).toMatchObject([
      {
        partitions: expect.arrayContaining([
          expect.objectContaining({ partition: 1, offset: String(far), metadata: 'so far' }),
        ]),
      },
    ])

    // From outside they are taken only when there is nobody whose work they could contradict.
    const outside = { groupId, offsets: [{ topic, partition: 0, offset: 1n }] }
    await expect(commitGroupOffsets(client, outside)).rejects.toMatchObject({ code: 'KAFKA_GROUP_FENCED' })
    await member.leave()
    await commitGroupOffsets(client, outside)
    expect(await readGroupOffsets(client, { groupId, partitions: [{ topic, partition: 0 }] })).toMatchObject([
      { offset: 1n },
    ])
  })

  test('an offset that an open transaction is about to move is waited for', async () => {
    const { client, open, topic } = await start()
    const groupId = randomName('group')
    const { assignment } = join(client, { groupId, topics: [topic] })
    const { commitOffsets, metadata } = await assignment()
    await commitOffsets([{ topic, partition: 0, offset: 3n }])
    const session = await open()
    let commit: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (commit = resolve))
    const publishing = session.publish({
      offsets: { ...metadata, offsets: [{ topic, partition: 0, offset: 7n }] },
      gate,
    })
    // Before the transaction has reached the coordinator, the old offset is the right answer.
    const waits = (): Promise<boolean> =>
      readGroupOffsets(client, { groupId, signal: AbortSignal.timeout(1_000) }).then(
        () => false,
        () => true,
      )
    await expect.poll(waits, { timeout: 20_000 }).toBe(true)
    const reading = readGroupOffsets(client, { groupId })
    commit()
    await publishing
    expect(await reading).toMatchObject([{ offset: 7n }])
  })
})

test('members with different topics have what they asked for, and nothing is left over', async () => {
  const { client } = await setUp()
  const [orders, payments] = [
    await createTopic('orders', { partitions: 3 }),
    await createTopic('payments', { partitions: 3 }),
  ]
  const groupId = randomName('group')
  const [first, second] = [
    join(client, { groupId, topics: [orders] }),
    join(client, { groupId, topics: [payments, orders] }),
  ]
  const [one, other] = await Promise.all([
    first.assignment(({ partitions }) => partitions.length < 3),
    second.assignment(({ partitions }) => partitions.length > 3),
  ])
  expect(one.partitions.every(({ topic }) => topic === orders)).toBe(true)
  expect(`${list(one)} ${list(other)}`.split(' ').toSorted()).toEqual(
    [orders, payments].flatMap((topic) => [0, 1, 2].map((partition) => `${topic}-${partition}`)).toSorted(),
  )
})

test('a topic that is created later, and partitions that are added, are shared out', async () => {
  const { brokers, client, topic } = await setUp()
  const groupId = randomName('group')
  const later = randomName('later')
  const { assignment, failures } = join(client, { groupId, topics: [topic, later] })
  expect(list(await assignment())).toBe(`${topic}-0`)
  await ask(brokers, (admin) =>
    admin.createTopics({ topics: [{ topic: later, numPartitions: 1 }], waitForLeaders: false }),
  )
  await assignment(holds(2))
  await ask(brokers, (admin) => admin.createPartitions({ topicPartitions: [{ topic: later, count: 3 }] }))
  expect(list(await assignment(holds(4)))).toBe(
    [`${topic}-0`, ...[0, 1, 2].map((partition) => `${later}-${partition}`)].toSorted().join(' '),
  )
  await ask(brokers, (admin) => admin.deleteTopics({ topics: [later] }))
  await assignment(holds(1))
  expect(failures).toEqual([])
})

test('a consumer of kafkajs can be in the same group, as while a service moves from one to the other', async () => {
  const { brokers, client, topic } = await setUp({ partitions: 4 })
  const groupId = randomName('group')
  const ours = join(client, { groupId, topics: [topic] })
  await ours.assignment(holds(4))
  const theirs = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).consumer({
    groupId,
    rebalanceTimeout: 5_000,
    heartbeatInterval: 100,
  })
  onTestFinished(() => theirs.disconnect())
  const joined = new Promise<readonly number[] | undefined>((resolve) => {
    theirs.on(theirs.events.GROUP_JOIN, ({ payload }) => resolve(payload.memberAssignment[topic]))
  })
  await theirs.connect()
  await theirs.subscribe({ topics: [topic] })
  await theirs.run({ eachMessage: async () => undefined, autoCommit: false })
  const { partitions } = await ours.assignment(holds(2))
  const all = [...partitions.map(({ partition }) => partition), ...((await joined) ?? [])]
  expect(all).toHaveLength(4)
  expect(new Set(all)).toEqual(new Set([0, 1, 2, 3]))
})

test('a group that takes no such member is a typed refusal', async () => {
  const { client, topic } = await setUp()
  const refused = async (options: { sessionTimeoutMs?: number; groupId: string }): Promise<unknown> => {
    const { assignment } = join(client, { topics: [topic], heartbeatIntervalMs: 100, ...options })
    return await assignment().catch((error: unknown) => error)
  }
  expect(await refused({ groupId: randomName('group'), sessionTimeoutMs: 3_000_000 })).toMatchObject({
    code: 'KAFKA_GROUP_REFUSED',
    message: expect.stringContaining('INVALID_SESSION_TIMEOUT'),
  })
  expect(await refused({ groupId: '' })).toMatchObject({
    code: 'KAFKA_GROUP_REFUSED',
    message: expect.stringContaining('INVALID_GROUP_ID'),
  })
})
