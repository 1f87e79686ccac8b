/** `pnpm stack up | down | status`: the services of this checkout, kept for as long as you work on it. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { askSupervisor, readStatus, type ControlStatus } from './control.js'
import { toEnvironment, type StackAddresses } from './environment.js'
import { progressToStderr } from './progress.js'
import { StackError } from './stack-error.js'
import type { SupervisorNews } from './supervisor.js'

const usage = `usage: stack up              start PostgreSQL, Kafka and Redis, and print where they are
       stack status [--json]  print where they are
       stack down            end them and delete their files

Standard output is for a shell: eval "$(pnpm -s stack up)"
`

const exitCode = { done: 0, failed: 1, wrongUsage: 2, notRunning: 3 } as const

const say = (line: string): void => void process.stderr.write(`${line}\n`)

const printAddresses = (addresses: StackAddresses): void => {
  for (const [name, value] of Object.entries(toEnvironment(addresses)))
    process.stdout.write(`export ${name}='${value}'\n`)
}

/** Starts a supervisor and resolves with its last word: ready, already running, or failed. */
const startSupervisor = (): Promise<Exclude<SupervisorNews, { kind: 'progress' }>> =>
  new Promise((resolve, reject) => {
    const file = fileURLToPath(new URL('supervisor.js', import.meta.url))
    const supervisor = spawn(process.execPath, [file], {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    supervisor.on('message', (message) => {
      const news = message as SupervisorNews // sent by `tell` in supervisor.ts, of the same build
      if (news.kind === 'progress') return progressToStderr(news.part, news.text, news.elapsedMs)
      supervisor.unref()
      resolve(news)
    })
    supervisor.once('error', reject)
    supervisor.once('exit', (code, signal) =>
      reject(
        new StackError(
          'STACK_SUPERVISOR_FAILED',
          `the supervisor ended with ${signal ?? `exit code ${code}`}`,
        ),
      ),
    )
  })

const tellRunning = (status: ControlStatus | undefined): void => {
  if (status?.ready !== true) return say('already starting')
  say(`already running (pid ${status.pid})`)
  printAddresses(status.addresses)
}

const up = async (): Promise<number> => {
  const running = await readStatus()
  if (running !== undefined) {
    tellRunning(running)
    return exitCode.done
  }
  const news = await startSupervisor()
  if (news.kind === 'failed') throw new StackError(news.code, news.message, { remedy: news.remedy })
  if (news.kind === 'ready') printAddresses(news.addresses)
  else tellRunning(await readStatus())
  return exitCode.done
}

const status = async (json: boolean): Promise<number> => {
  const running = await readStatus()
  if (json) process.stdout.write(`${JSON.stringify({ running: running !== undefined, ...running })}\n`)
  else if (running === undefined) say('not running')
  else if (running.ready) printAddresses(running.addresses)
  else say('starting')
  return running === undefined ? exitCode.notRunning : exitCode.done
}

const down = async (): Promise<number> => {
  say((await askSupervisor('stop')) === undefined ? 'not running' : 'stopped')
  return exitCode.done
}

const run = async (): Promise<number> => {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [command] = positionals
  if (values.help) {
    process.stdout.write(usage)
    return exitCode.done
  }
  if (command === 'up') return await up()
  if (command === 'down') return await down()
  if (command === 'status') return await status(values.json)
  process.stderr.write(usage)
  return exitCode.wrongUsage
}

try {
  process.exitCode = await run()
} catch (error) {
  say(
    StackError.is(error)
      ? `stack: ${error.sentence}`
      : `stack: ${error instanceof Error ? error.message : String(error)}`,
  )
  process.exitCode = exitCode.failed
}
