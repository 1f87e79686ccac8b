import type { Command } from '../command.js'
import { migrate } from './migrate.js'
import { relay } from './relay.js'
import { reshard } from './reshard.js'

export const commands: readonly Command[] = [migrate, relay, reshard]
