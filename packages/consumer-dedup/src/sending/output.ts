import type { HeaderBag } from '@oncebox/core'

/** One record that a consumer writes. */
export interface Output {
  readonly topic: string
  /** Undefined: the key decides, or, without one, chance. */
  readonly partition?: number | undefined
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly timestamp: Date
  readonly headers: HeaderBag
}
