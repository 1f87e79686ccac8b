import { OutboxError } from '@oncebox/core'

/** A command of Redis, word by word: `['hincrby', 'stock:apple', 'reserved', 1]`. */
export type RedisCommand = readonly [string, ...(string | number | Buffer)[]]

/**
 * An effect in the same Redis, which takes effect together with the mark or not at all.
 *
 * The commands run one after another. If one fails, those before it are undone. Commands that do something outside of
 * their keys (PUBLISH, MOVE) are refused, and so are keys that `keys` does not name.
 */
export interface RedisEffect {
  readonly keys: readonly [string, ...string[]]
  readonly commands: readonly [RedisCommand, ...RedisCommand[]]
}

const keysMax = 100
const commandsMax = 100
// Lua puts the words of a command on a stack that holds about 8,000.
const wordsMax = 1_000

/** The arguments of the script: each command with the number of its words before it. */
export function encodeCommands({ keys, commands }: RedisEffect): (string | number | Buffer)[] {
  bounded('keys', keys.length, keysMax)
  bounded('commands', commands.length, commandsMax)
  return commands.flatMap((command, index) => {
    bounded(`command ${index + 1}`, command.length, wordsMax)
    return [command.length, ...command]
  })
}

function bounded(what: string, count: number, max: number): void {
  if (count < 1 || count > max)
    throw new OutboxError('CONSUMER_OPTIONS_INVALID', `${what}: ${count} of them, 1 to ${max} are possible`)
}
