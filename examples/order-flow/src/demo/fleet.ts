/** All processes of the flow together. */
import { once } from 'node:events'
import path from 'node:path'
import { Child } from './child.js'
import type { Program } from './programs.js'

// Stopping is part of the demo, not of its promises: those hold for a process that is killed, too.
const graceMs = 5_000

export interface Fleet {
  readonly children: readonly Child[]
  /** Resolves when every process does its work; the first time only. */
  readonly ready: Promise<unknown>
  /** Rejects when a process cannot be kept running. */
  readonly broken: Promise<never>
  stop(): Promise<void>
}

/** Starts all processes; each writes to a log file of its own in `directory`. */
export function startFleet(programs: readonly Program[], directory: string): Fleet {
  const children = programs.map((program) => new Child(program, path.join(directory, `${program.name}.log`)))
  const ready = Promise.all(children.map((child) => once(child, 'ready')))
  const broken = new Promise<never>((_, reject) => {
    for (const child of children) child.run().catch(reject)
  })
  broken.catch(() => undefined) // whoever races against it hears of it
  return {
    children,
    ready,
    broken,
    stop: async () => void (await Promise.all(children.map((child) => child.stop(graceMs)))),
  }
}
