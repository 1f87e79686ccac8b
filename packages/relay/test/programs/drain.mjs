// Publishes a backlog and says how much memory that took at most, in MB. Argument: JSON { options, events }
import { channels } from '@oncebox/core'
import { createRelay } from '@oncebox/relay'

const { options, events } = JSON.parse(process.argv[2])
let left = events
const drained = new Promise((resolve) => {
  channels.relayPublished.subscribe((message) => {
    left -= message.events
    if (left <= 0) resolve()
  })
})
const relay = createRelay(options)
await relay.start()
await drained
await relay.stop()
console.log(JSON.stringify({ peakMb: process.resourceUsage().maxRSS / 1024 }))
