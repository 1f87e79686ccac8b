import { describe, expect, test } from 'vitest'
import type { Receipt } from '../src/index.js'
import { kafkaVersions, numbered, setUp, useKafka } from './fixture.js'

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  const kafka = useKafka(version)

  // Of 600 that were sent without waiting, 47 changed places.
  test('three hundred transactions of one event, each sent before the last is decided, arrive in the order of the calls', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    const texts = numbered('event', 300)
    const underway: Promise<Receipt>[] = []
    for (const text of texts) {
      underway.push(session.publish({ partitions: [records([text])] }))
      if (underway.length === 2) await underway.shift()
    }
    await Promise.all(underway)
    expect(await committed()).toEqual(texts)
  })
})
