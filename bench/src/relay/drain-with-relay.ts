import { channels } from '@oncebox/core'
import { createRelay } from '@oncebox/relay'
import { report } from '../drained.js'
import { environment } from './drain.js'

// Drains the backlog with the relay; the clock runs from the shard being opened to the last commit.
const { databaseUrl, brokers, name, events } = environment()
let left = events
let startedMs = 0
let startedCpu = process.cpuUsage()
const drained = new Promise<void>((resolve) => {
  channels.relayPublished.subscribe((message) => {
    left -= (message as { events: number }).events
    if (left <= 0) resolve()
  })
})
channels.relayOpened.subscribe(() => {
  startedMs = performance.now()
  startedCpu = process.cpuUsage()
})
// A doubt or a failure during a benchmark is worth seeing; the figure would hide it.
const tell = (fields: object, message: string): void => console.error(message, fields)
const logger = { info: () => undefined, warn: tell, error: tell }
const relay = createRelay({ name, db: { connectionString: databaseUrl }, kafka: { brokers }, logger })
await relay.start()
await drained
report(events, startedMs, startedCpu)
await relay.stop()
