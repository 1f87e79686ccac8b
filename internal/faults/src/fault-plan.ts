import { faultPoints, type FaultPoint } from '@oncebox/core'

/** What happens to the process at a fault point. */
export type FaultAction =
  | { readonly kind: 'kill' | 'stop' | 'exit' | 'throw' | 'hang' }
  | { readonly kind: 'delay'; readonly ms: number }

/** One entry of `ONCEBOX_FAULT`: the action at the `hit`-th time that the point is reached; 0 is every time. */
export interface Fault {
  readonly point: FaultPoint
  readonly hit: number
  readonly action: FaultAction
}

/**
 * Reads `ONCEBOX_FAULT`: a comma separated list of `name@hit:action`. Actions: `kill` (SIGKILL to itself), `stop`
 * (SIGSTOP), `exit` (code 70), `throw`, `hang` (never returns), `delay=ms`. `@*` means every hit, no `@` the first.
 *
 * @example readFaultPlan('relay.endtxn.sent@3:kill,relay.produce.acked@*:delay=50')
 */
export function readFaultPlan(text: string): readonly Fault[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map(readFault)
}

function readFault(entry: string): Fault {
  const match = /^([a-z.-]+)(?:@(\d+|\*))?:([a-z]+)(?:=(\d+))?$/.exec(entry)
  const [, point, hit = '1', kind = '', ms] = match ?? []
  if (point === undefined || !isFaultPoint(point))
    throw new Error(`ONCEBOX_FAULT: no fault point in ${entry}`)
  return { point, hit: hit === '*' ? 0 : Number(hit), action: readAction(entry, kind, ms) }
}

function readAction(entry: string, kind: string, ms: string | undefined): FaultAction {
  switch (kind) {
    case 'kill':
    case 'stop':
    case 'exit':
    case 'throw':
    case 'hang':
      return { kind }
    case 'delay':
      if (ms !== undefined) return { kind, ms: Number(ms) }
      break
    default:
  }
  throw new Error(`ONCEBOX_FAULT: no action in ${entry}`)
}

const isFaultPoint = (name: string): name is FaultPoint => Object.hasOwn(faultPoints, name)
