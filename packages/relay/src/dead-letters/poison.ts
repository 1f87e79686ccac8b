/**
 * What is done with an event that its topic cannot take. `park-key`: it is set aside, and so is every later event of its
 * key, in order, until it is requeued or discarded. `skip`: it is set aside alone, and later events of its key go on.
 * `stop`: its shard waits until the topic takes it.
 */
export type PoisonChoice = 'park-key' | 'skip' | 'stop'

export const poisonChoices: readonly PoisonChoice[] = ['park-key', 'skip', 'stop']

export interface PoisonOptions {
  /** For topics that are not named. Default 'park-key'. */
  readonly default?: PoisonChoice
  readonly topics?: Readonly<Record<string, PoisonChoice>>
  /**
   * Keys that a shard parks at most; it waits before it would park another one. So many are the fault of a topic, not of
   * events. Less than 150 bytes of memory each (77 for a UUID). Default 1,000,000; 1 to 10,000,000.
   */
  readonly parkedKeysMax?: number
}

export interface ResolvedPoisonOptions {
  readonly default: PoisonChoice
  readonly topics: ReadonlyMap<string, PoisonChoice>
  readonly parkedKeysMax: number
}
