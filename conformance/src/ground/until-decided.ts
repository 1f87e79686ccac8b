import { setTimeout as delay } from 'node:timers/promises'
import { withAdmin } from './with-admin.js'

const everyMs = 100

/** Waits until partition 0 has records, and no transaction is open on it. Bounded by the signal. */
export const untilDecided = (brokers: readonly string[], topic: string, signal: AbortSignal): Promise<void> =>
  withAdmin(brokers, async (admin) => {
    // kafkajs asks with isolation level read_committed, so this is the last stable offset: 0 while the first transaction is open.
    while (Number((await admin.fetchTopicOffsets(topic))[0]?.offset) === 0)
      await delay(everyMs, undefined, { signal })
  })
