import { randomUUID } from 'node:crypto'
import { Turn } from './turn.js'

/**
 * Events that somebody died over run alone in the whole process, whichever consumer, partition or queue they are of:
 * whoever else were in hand when it dies would be blamed, too.
 */
export const aloneTurn = new Turn()

/** Names this process where it says that it runs an event alone. */
export const thisProcess: string = randomUUID()
