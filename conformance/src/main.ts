import { writeFile } from 'node:fs/promises'
import { StackError } from '@internal/stack'
import type { Client } from './client.js'
import { ClientMissing } from './clients/client-source.js'
import { ourName } from './clients/ours.js'
import { parseCommand, usage, WrongUse, type Command } from './command-line.js'
import { exitCodes } from './exit-code.js'
import { ProgressLines } from './report/progress.js'
import { markdown } from './report/markdown.js'
import { table } from './report/table.js'
import { run } from './run.js'

class Interrupted extends Error {}

async function main(): Promise<number> {
  const command = parseCommand(process.argv.slice(2))
  if (command === 'help') {
    process.stdout.write(usage)
    return exitCodes.done
  }
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort(new Interrupted('interrupted')))
  const progress = new ProgressLines(
    process.stderr,
    command.clients.map(({ name }) => name),
  )
  const clients = await prepare(command, progress, stop.signal)
  const results = await run({
    clients,
    cases: command.cases,
    kafkaVersions: command.kafkaVersions,
    onStart: (what) => progress.start(what),
    onEnd: (result) => progress.end(result),
    ...(command.trace && { trace: (line: string) => progress.say(line) }),
    signal: stop.signal,
  })
  process.stdout.write(table(results))
  const report = { at: new Date(), clients, results }
  if (command.json !== undefined) await writeFile(command.json, `${JSON.stringify(report, null, 2)}\n`)
  if (command.markdown !== undefined) await writeFile(command.markdown, markdown(report))
  // Others are reported; whoever is asked for by name is judged.
  const judged = results.filter(({ client }) => command.wanted || client === ourName)
  const passed = judged.every(({ verdict }) => verdict.kind === 'pass' || verdict.kind === 'not-applicable')
  const sound = results.every(({ verdict }) => verdict.kind !== 'error')
  return passed && sound ? exitCodes.done : exitCodes.failed
}

/** Those that can be had. One that was asked for by name and cannot be had ends the command. */
async function prepare(
  command: Command,
  progress: ProgressLines,
  signal: AbortSignal,
): Promise<readonly Client[]> {
  const clients: Client[] = []
  for (const source of command.clients)
    try {
      const say = (line: string): void => progress.say(`${source.name}: ${line}`)
      clients.push(await source.prepare({ wanted: command.wanted, say, signal }))
    } catch (error) {
      if (!(error instanceof ClientMissing) || command.wanted) throw error
      progress.say(`${source.name} is left out: ${error.message}`)
    }
  return clients
}

/** Says what went wrong. */
function exitCodeOf(error: unknown): number {
  if (error instanceof WrongUse) {
    process.stderr.write(`${error.message}\n\n${usage}`)
    return exitCodes.wrongUse
  }
  if (error instanceof Interrupted) {
    process.stderr.write('interrupted\n')
    return exitCodes.failed
  }
  if (!(error instanceof ClientMissing) && !StackError.is(error)) throw error
  process.stderr.write(`${error instanceof StackError ? error.sentence : error.message}\n`)
  return exitCodes.unavailable
}

// Not left to an empty event loop: a connection that some broken client has left behind must not keep the command alive.
process.exit(await main().catch(exitCodeOf))
