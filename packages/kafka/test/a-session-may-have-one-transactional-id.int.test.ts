import { randomName } from '@internal/stack'
import { expect, onTestFinished, test } from 'vitest'
import { openSession } from '../src/index.js'
import { setUp } from './fixture.js'

test('with one id and no claim, transactions run one after the other, in the order of the calls', async () => {
  const { client, records, committed } = await setUp()
  const transactionalIds = [randomName('single')] as const
  const session = await openSession(client, { transactionalIds })
  onTestFinished(() => session.close())
  await Promise.all(['first', 'second'].map((text) => session.publish({ partitions: [records([text])] })))
  await session.publish({ partitions: [records(['third'])] })

  const next = await openSession(client, { transactionalIds })
  onTestFinished(() => next.close())
  await expect(session.publish({ partitions: [records(['stale'])] })).rejects.toMatchObject({
    code: 'KAFKA_FENCED',
  })
  expect(await committed()).toEqual(['first', 'second', 'third'])
})
