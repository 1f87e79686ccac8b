import type { Command } from '../command.js'
import { migrate } from './migrate.js'
import { relay } from './relay.js'

export const commands: readonly Command[] = [migrate, relay]
