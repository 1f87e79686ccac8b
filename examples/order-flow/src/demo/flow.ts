/** The flow with all its processes and its customers, from an empty world until everything is drained. */
import { setMaxListeners } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { RunningStack } from '@internal/stack'
import type { Display } from './display.js'
import { startFleet, type Fleet } from './fleet.js'
import { drawKills, killAlong } from './killer.js'
import { Monitor } from './progress.js'
import { listPrograms } from './programs.js'
import { createRandom } from './random.js'
import { drawScenario, type Scenario } from './scenario.js'
import { placeOrders } from './shoppers.js'
import { createWorld, type World } from './world.js'

export interface FlowOptions {
  readonly stack: RunningStack
  readonly orders: number
  readonly seed: number
  readonly kills: number
  readonly display: Display
  readonly signal: AbortSignal
}

export interface Flow {
  readonly world: World
  readonly fleet: Fleet
  readonly logDirectory: string
  /** Places the orders, kills along, and waits until nothing is left to do. */
  run(): Promise<FlowOutcome>
  /** Stops the processes. */
  stop(): Promise<void>
  /** Drops databases and topics; deletes the log files too unless they may still tell something. */
  destroy(options: { readonly keepLogs: boolean }): Promise<void>
}

export interface FlowOutcome {
  readonly drained: boolean
  /** Ids of the orders that the service acknowledged. */
  readonly acknowledged: readonly string[]
  readonly killsOf: Readonly<Record<string, number>>
  readonly crashes: number
}

const readyWithinMs = 60_000

/** Creates the world and starts all processes. */
export async function startFlow(options: FlowOptions): Promise<Flow> {
  const { stack, orders, seed, display, signal } = options
  const scenario = drawScenario(orders, createRandom(seed))
  const world = await createWorld(stack, scenario)
  const logDirectory = await mkdtemp(path.join(tmpdir(), 'oncebox-demo-'))
  const fleet = startFleet(listPrograms(world), logDirectory)
  for (const child of fleet.children)
    child.on('crashed', (how) =>
      display.line(`${child.program.name} ended by itself with ${how}; see ${child.logFile}`),
    )
  const destroy = async ({ keepLogs }: { keepLogs: boolean }): Promise<void> => {
    await world.destroy()
    if (!keepLogs) await rm(logDirectory, { recursive: true, force: true })
  }
  try {
    await Promise.race([
      fleet.ready,
      fleet.broken,
      expiry(AbortSignal.any([signal, AbortSignal.timeout(readyWithinMs)]), logDirectory),
    ])
  } catch (error) {
    await fleet.stop()
    await destroy({ keepLogs: true })
    throw error
  }
  return {
    world,
    fleet,
    logDirectory,
    stop: () => fleet.stop(),
    destroy,
    run: () => runTraffic(options, scenario, world, fleet),
  }
}

async function runTraffic(
  { orders, seed, kills, display, signal }: FlowOptions,
  scenario: Scenario,
  world: World,
  fleet: Fleet,
): Promise<FlowOutcome> {
  const acknowledged: string[] = []
  const monitor = new Monitor(world, orders)
  const show = (): void =>
    display.update({ orders, snapshot: monitor.snapshot, kills: killsSoFar(), killsWanted: kills })
  const killsSoFar = (): number => fleet.children.reduce((sum, child) => sum + child.kills, 0)
  monitor.on('progress', show)

  const ending = new AbortController() // ends the others when one fails, and the killer when nothing is left to kill for
  const until = AbortSignal.any([signal, ending.signal])
  setMaxListeners(0, until) // every request of every shopper listens
  // Its own seed, so that the same orders can be tried with other kills.
  const plan = drawKills(kills, fleet.children.length, createRandom(seed ^ 0x9e3779b9))
  const killing = killAlong(plan, fleet.children, monitor, until, (name) => display.line(`SIGKILL ${name}`))
  const placing = placeOrders(`http://127.0.0.1:${world.httpPort}`, scenario.orders, until, ({ id }) =>
    acknowledged.push(id),
  )
  const draining = monitor.untilDrained(until)
  try {
    const [drained] = await Promise.race([
      Promise.all([draining, placing, drainedOrKilled(killing, draining)]),
      fleet.broken,
    ])
    display.finish()
    const killsOf = Object.fromEntries(
      fleet.children.map(({ program, kills: count }) => [program.name, count]),
    )
    return {
      drained,
      acknowledged,
      killsOf,
      crashes: fleet.children.reduce((sum, { crashes }) => sum + crashes, 0),
    }
  } finally {
    ending.abort()
    await Promise.allSettled([killing, placing, draining])
  }
}

/** A flow that hangs never reaches the part of the work after which the next kill strikes. */
async function drainedOrKilled(killing: Promise<void>, draining: Promise<boolean>): Promise<void> {
  await Promise.race([killing, draining.then((drained) => (drained ? killing : undefined))])
}

function expiry(signal: AbortSignal, logDirectory: string): Promise<never> {
  return new Promise((_, reject) => {
    const expire = (): void =>
      reject(
        new Error(
          `not every process was ready within ${readyWithinMs / 1000} s: read the files in ${logDirectory}`,
          { cause: signal.reason },
        ),
      )
    if (signal.aborted) expire()
    else signal.addEventListener('abort', expire, { once: true })
  })
}
