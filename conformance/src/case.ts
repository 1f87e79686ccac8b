import type { Nodes } from './ground/ground.js'
import type { Stage } from './stage.js'

/** One promise that the client's user relies on, and the fault that tests it. */
export interface Case {
  /** By which it is chosen on the command line. */
  readonly name: string
  /** A sentence: what must hold. */
  readonly promise: string
  /** Brokers it needs; 1 unless said. */
  readonly nodes?: Nodes
  /** Bounds the case. Default: 180,000. */
  readonly withinMs?: number
  /**
   * Plays it. What it returns is a remark for a pass.
   * @throws Failed, NotSupported or NotApplicable as the verdict; anything else means that the suite could not find out
   */
  run(stage: Stage): Promise<string | void>
}
