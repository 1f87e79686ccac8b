// Loaded with `node --import`, before the program under test: installs the faults that ONCEBOX_FAULT names.
import { setTimeout as sleep } from 'node:timers/promises'
import { installFaultHandler, type FaultPoint } from '@oncebox/core'
import { readFaultPlan, type Fault, type FaultAction } from './fault-plan.js'

const plan: readonly Fault[] = readFaultPlan(process.env['ONCEBOX_FAULT'] ?? '')
const hits = new Map<FaultPoint, number>()

if (plan.length > 0) installFaultHandler(strike)

function strike(point: FaultPoint): void | Promise<void> {
  const hit = (hits.get(point) ?? 0) + 1
  hits.set(point, hit)
  const fault = plan.find(
    (candidate) => candidate.point === point && (candidate.hit === 0 || candidate.hit === hit),
  )
  if (fault !== undefined) return act(point, fault.action)
}

function act(point: FaultPoint, action: FaultAction): void | Promise<void> {
  switch (action.kind) {
    case 'kill':
      process.kill(process.pid, 'SIGKILL')
      // The signal may be delivered a moment later: nothing of the program may run in between.
      return blockForever()
    case 'stop':
      // Returns when somebody sends SIGCONT.
      process.kill(process.pid, 'SIGSTOP')
      return
    case 'exit':
      process.exit(70)
      break
    case 'throw':
      throw new Error(`fault at ${point}`)
    case 'hang':
      return hang()
    case 'delay':
      return sleep(action.ms)
  }
}

function blockForever(): never {
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

// The timer keeps the process alive: a program that hangs is not a program that ends.
function hang(): Promise<void> {
  return new Promise(() => setInterval(() => undefined, 60_000))
}
