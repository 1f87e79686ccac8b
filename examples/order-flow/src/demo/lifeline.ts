/**
 * Loaded before each process of the flow (`node --import`): ends it when the demo ends, however that happens. The
 * channel to a killed parent closes by itself, so nothing is left behind even by SIGKILL.
 */
import { channels } from '@oncebox/core'

process.on('disconnect', () => process.exit(1))
process.channel?.unref() // watching must not keep a process alive that has done its work

// A relay knows nothing of the demo; its own channel tells when it owns its shard.
channels.relayOpened.subscribe(() => process.send?.('ready'))
