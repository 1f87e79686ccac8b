/** `pnpm demo`: the order flow under SIGKILL, and an audit from the outside. */
import { open, writeFile } from 'node:fs/promises'
import { AuditError } from '@internal/audit'
import { StackError, startStack } from '@internal/stack'
import { OutboxError } from '@oncebox/core'
import { audit, readFlowTopics } from './audit/audit.js'
import { createDisplay } from './display.js'
import { startFlow, type Flow } from './flow.js'
import { parseOptions, usage, UsageError, type DemoOptions } from './options.js'
import { describeResult, toResult, type DemoResult } from './result.js'

const exitCodes = { done: 0, promiseBroken: 1, wrongUse: 2, unavailable: 3, interrupted: 130 } as const

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => interrupted.abort(new Error(`stopped by ${name}`)))

try {
  process.exitCode = await demo(process.argv.slice(2))
} catch (error) {
  process.exitCode = explain(error)
}
process.exit() // whatever a killed connection has left open must not keep the demo alive

async function demo(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (options === undefined) {
    console.log(usage)
    return exitCodes.done
  }
  if (options.json !== undefined) await requireWritable(options.json)
  const { signal } = interrupted
  const startedAt = performance.now()
  const display = createDisplay()
  display.line(
    `seed ${options.seed}: repeat this run with --orders ${options.orders} --kills ${options.kills} --seed ${options.seed}`,
  )
  await using stack = await startStack({
    services: ['postgres', 'kafka', 'redis'],
    signal,
    onProgress: (part, text) => display.line(`${part}: ${text}`),
  })
  const flow = await startFlow({ ...options, stack, display, signal })
  let keepLogs = true
  try {
    display.line(
      `four services, their relays and a mail worker are up: placing ${options.orders} orders, killing ${options.kills} processes`,
    )
    const result = await runAndAudit(flow, options, startedAt, (text) => display.line(text))
    console.log(describeResult(result))
    if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(result, null, 2)}\n`)
    if (options.keep) await keepRunning(flow, stack.postgres.url, signal)
    keepLogs = !result.ok || result.crashes > 0
    return result.ok ? exitCodes.done : exitCodes.promiseBroken
  } finally {
    await flow.stop()
    keepLogs &&= !signal.aborted // whoever interrupts a run does not ask what went wrong with it
    await flow.destroy({ keepLogs })
    if (keepLogs) display.line(`the log of each process is in ${flow.logDirectory}`)
  }
}

async function runAndAudit(
  flow: Flow,
  options: DemoOptions,
  startedAt: number,
  say: (text: string) => void,
): Promise<DemoResult> {
  const readyAt = performance.now()
  const { acknowledged, ...outcome } = await flow.run()
  const drainedAt = performance.now()
  if (!options.keep) await flow.stop()
  say(
    `${outcome.drained ? 'drained' : 'NOT drained: nothing has moved for a minute'}; reading the topics with Apache's Java consumer`,
  )
  const records = await readFlowTopics(flow.world, interrupted.signal)
  const report = await audit(flow.world, records, acknowledged)
  const endedAt = performance.now()
  const seconds = {
    setUp: inSeconds(readyAt - startedAt),
    traffic: inSeconds(drainedAt - readyAt),
    audit: inSeconds(endedAt - drainedAt),
    total: inSeconds(endedAt - startedAt),
  }
  return toResult(report, { seed: options.seed, ...outcome, seconds })
}

/** Found out before the run, not after it. */
async function requireWritable(file: string): Promise<void> {
  try {
    await (await open(file, 'a')).close()
  } catch (cause) {
    throw new UsageError(`--json: ${file} cannot be written: name a file in a folder that exists`, { cause })
  }
}

function inSeconds(ms: number): number {
  return Math.round(ms / 100) / 10
}

async function keepRunning(
  { world, logDirectory }: Flow,
  postgresUrl: string,
  signal: AbortSignal,
): Promise<void> {
  const lines = {
    'order service': `http://127.0.0.1:${world.httpPort}`,
    PostgreSQL: postgresUrl,
    ...Object.fromEntries(Object.entries(world.databaseUrls).map(([service, url]) => [`  ${service}`, url])),
    Kafka: `${world.brokers.join(',')}, topics ${world.prefix}*`,
    'log files': logDirectory,
  }
  console.log(
    Object.entries(lines)
      .map(([name, url]) => `${name.padEnd(14)} ${url}`)
      .join('\n'),
  )
  console.log('\nEverything keeps running until Ctrl-C.')
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}

/** One sentence that says what happened and what to do, and the exit code for it. */
function explain(error: unknown): number {
  if (error instanceof UsageError) {
    console.error(error.message)
    return exitCodes.wrongUse
  }
  if (interrupted.signal.aborted) {
    console.error('stopped; nothing was judged')
    return exitCodes.interrupted
  }
  if (StackError.is(error)) {
    console.error(error.sentence)
    return exitCodes.unavailable
  }
  if (OutboxError.is(error)) {
    console.error(`${error.message}: ${error.remedy}`)
    return exitCodes.unavailable
  }
  if (isConnectionError(error)) {
    console.error(
      `a service does not answer (${error.message}): check that PostgreSQL, Kafka and Redis are up`,
    )
    return exitCodes.unavailable
  }
  console.error(error instanceof AuditError ? `the topics could not be judged: ${error.message}` : error)
  return exitCodes.unavailable
}

/** A socket that could not be opened or broke, a server that shuts down, or kafkajs after its last try. */
function isConnectionError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  return (
    error.name.startsWith('KafkaJS') ||
    ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', '57P01', '57P03'].includes(code)
  )
}
