/** The frame of a service's main program: start, say so, wait for a signal, stop. */
import { once } from 'node:events'
import { channels } from '@oncebox/core'

export interface Part {
  start(): Promise<void>
  stop(): Promise<void>
}

/** Starts the parts in order, and stops them in reverse order on SIGTERM or SIGINT. */
export async function runService(name: string, parts: readonly Part[]): Promise<void> {
  // A service whose consumer gave up must not look alive: it ends, and whoever watches over it starts it again.
  channels.consumerFailed.subscribe((failure) => {
    console.error(`${name}: its consumer has stopped by itself`, failure)
    process.exit(1)
  })
  for (const part of parts) await part.start()
  process.send?.('ready')
  console.log(`${name}: ready`)
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  for (const part of [...parts].reverse()) await part.stop()
}
