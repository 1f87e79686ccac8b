import type { Command } from '../command.js'
import { adopt } from './adopt.js'
import { deadLetters } from './dead-letters.js'
import { doctor } from './doctor.js'
import { lag } from './lag.js'
import { migrate } from './migrate.js'
import { relay } from './relay.js'
import { relayRemove } from './relay-remove.js'
import { reshard } from './reshard.js'
import { replay } from './replay.js'
import { status } from './status.js'
import { tail } from './tail.js'
import { verify } from './verify.js'

export const commands: readonly Command[] = [
  migrate,
  relay,
  status,
  lag,
  tail,
  doctor,
  deadLetters,
  replay,
  reshard,
  relayRemove,
  verify,
  adopt,
]
