import { installFaultHandler, type FaultPoint } from '@oncebox/core'
import { describe, afterEach, expect, test } from 'vitest'
import { kafkaVersions, setUp, useKafka } from './fixture.js'

afterEach(() => installFaultHandler(undefined))

/** Holds whoever reaches `point` until `release` is called; `reached` tells when somebody does. */
function holdAt(point: FaultPoint): { readonly reached: Promise<void>; release(): void } {
  let release: () => void = () => undefined
  let tell: () => void = () => undefined
  const reached = new Promise<void>((resolve) => (tell = resolve))
  const held = new Promise<void>((resolve) => (release = resolve))
  installFaultHandler((name) => {
    if (name !== point) return
    installFaultHandler(undefined)
    tell()
    return held
  })
  return { reached, release }
}

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  const kafka = useKafka(version)

  test('an older session is refused at Produce, and its records never show', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const stale = await open()
    const fresh = await open()
    await fresh.publish({ partitions: [records(['fresh'])] })
    await expect(stale.publish({ partitions: [records(['stale'])] })).rejects.toMatchObject({
      code: 'KAFKA_FENCED',
      outcome: 'fenced',
    })
    expect(stale.state).toBe('fenced')
    await expect(stale.publish({ partitions: [records(['stale again'])] })).rejects.toMatchObject({
      code: 'KAFKA_SESSION_CLOSED',
      outcome: 'not-committed',
    })
    expect(await committed()).toEqual(['fresh'])
  })

  test('a session that was taken over between Produce and EndTxn is refused at EndTxn, and its records never show', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const stale = await open()
    const hold = holdAt('relay.produce.acked')
    const publishing = stale.publish({ partitions: [records(['stale'])] }).catch((error: unknown) => error)
    await hold.reached
    const fresh = await open()
    await fresh.publish({ partitions: [records(['fresh'])] })
    hold.release()
    expect(await publishing).toMatchObject({ code: 'KAFKA_FENCED', outcome: 'fenced' })
    expect(await committed()).toEqual(['fresh'])
  })

  test('a start that was overtaken between its ids and its claim fails instead of sharing the shard', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const hold = holdAt('relay.ids.initialised')
    const overtaken = open().catch((error: unknown) => error)
    await hold.reached
    const fresh = await open()
    hold.release()
    expect(await overtaken).toMatchObject({ code: 'KAFKA_FENCED', outcome: 'fenced' })
    await fresh.publish({ partitions: [records(['fresh'])] })
    expect(await committed()).toEqual(['fresh'])
  })

  // Crossed starts leave each with one id. Only a claim on the id that was initialised first shows that the other is lost, too.
  test('a start that lost its first id to another one cannot claim with its second', async () => {
    const { open, transactionalIds } = await setUp({ brokers: kafka.brokers() })
    const hold = holdAt('relay.ids.initialised')
    const crossed = open().catch((error: unknown) => error)
    await hold.reached
    await open({ transactionalIds: [transactionalIds[0], `${transactionalIds[1]}:another`] })
    hold.release()
    expect(await crossed).toMatchObject({ code: 'KAFKA_FENCED', outcome: 'fenced' })
  })

  // Under transactions v1 it raises its own epoch first: without the epoch that it holds, that would fence the rival.
  test('an older session that was in use does not take its ids back when it wakes up', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const stale = await open()
    for (const text of ['stale on b', 'stale on a', 'stale on b again'])
      await stale.publish({ partitions: [records([text])] })
    const fresh = await open()
    await fresh.publish({ partitions: [records(['fresh on b'])] })
    await expect(stale.publish({ partitions: [records(['late'])] })).rejects.toMatchObject({
      code: 'KAFKA_FENCED',
      outcome: 'fenced',
    })
    for (const text of ['fresh on a', 'fresh on b again'])
      await fresh.publish({ partitions: [records([text])] })
    const stales = ['stale on b', 'stale on a', 'stale on b again']
    expect(await committed()).toEqual([...stales, 'fresh on b', 'fresh on a', 'fresh on b again'])
  })

  test('a restart with the same ids goes on where the last session ended', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    for (const run of ['first', 'second', 'third']) {
      const session = await open()
      await session.publish({ partitions: [records([`${run} on b`])] })
      await session.publish({ partitions: [records([`${run} on a`])] })
      await session.close()
    }
    expect(await committed()).toEqual(
      ['first', 'second', 'third'].flatMap((run) => [`${run} on b`, `${run} on a`]),
    )
  })
})
