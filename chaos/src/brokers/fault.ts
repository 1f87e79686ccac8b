import type { KafkaCluster } from '@internal/stack'
import { setTimeout as delay } from 'node:timers/promises'
import { WrongUse } from '../experiment.js'

/** What happens to a broker. */
export const faultKinds = {
  kill: 'SIGKILL, and started again when the others have taken over',
  restart: 'a controlled shutdown, which moves leaders and coordinators away first, and a start',
  pause: 'stands still for longer than its session, is replaced, and wakes up',
} as const

type FaultKind = keyof typeof faultKinds

export interface Fault {
  readonly kind: FaultKind
  readonly node: number
}

const nodes = [1, 2, 3] as const

/** Each kind, for each broker in turn. */
export function planFaults(kinds: string): readonly Fault[] {
  return kinds.split(',').flatMap((kind) => {
    if (!(kind in faultKinds))
      throw new WrongUse(
        `--faults names ${JSON.stringify(kind)}: one of ${Object.keys(faultKinds).join(', ')}`,
      )
    return nodes.map((node) => ({ kind: kind as FaultKind, node })) // looked up in the line above
  })
}

// The session of a broker lasts 2 s here: after that its partitions and its coordinators are others'.
const outageMs = 4_000

/** Strikes, and resolves when the broker works again. */
export async function strike(
  cluster: KafkaCluster,
  { kind, node }: Fault,
  signal: AbortSignal,
): Promise<void> {
  const broker = cluster.node(node)
  switch (kind) {
    case 'kill':
      await broker.kill()
      await delay(outageMs, undefined, { signal })
      return await broker.start()
    case 'restart':
      await broker.stop()
      return await broker.start()
    case 'pause':
      broker.pause()
      await delay(outageMs, undefined, { signal })
      return broker.resume()
  }
}
