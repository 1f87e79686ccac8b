import { OutboxError } from '@oncebox/core'
import { commands } from './commands/index.js'
import { exitCodes, exitCodeOf } from './exit-code.js'
import { printError } from './print-error.js'
import { usage } from './usage.js'

// The command line: one verb, its options, an exit code that scripts can rely on.
const [verb, ...rest] = process.argv.slice(2)

if (verb === undefined || verb === '--help' || verb === '-h' || verb === 'help') {
  process.stdout.write(usage())
  process.exitCode = verb === undefined ? exitCodes.wrongUse : exitCodes.done
} else {
  try {
    const command = commands.find(({ name }) => name === verb)
    if (command === undefined)
      throw new OutboxError('CLI_USAGE', `there is no command ${JSON.stringify(verb)}`)
    process.exitCode = await command.run(rest)
  } catch (error) {
    printError(error, rest.includes('--json'))
    process.exitCode = exitCodeOf(error)
  }
}
