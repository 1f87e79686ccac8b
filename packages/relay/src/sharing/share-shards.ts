/** Who is alive and who holds what, as one process has read it from the database. */
export interface SharingView {
  /** The live processes, this one among them, in an order that all see alike. */
  readonly members: readonly string[]
  /** In ascending order. */
  readonly shards: readonly {
    readonly shard: number
    /** The live process that holds it; undefined when it was given back, or its holder is not alive. */
    readonly holder: string | undefined
  }[]
}

export interface SharingPlan {
  /** Shards of nobody that this process is to claim. */
  readonly claim: readonly number[]
  /** Shards that this process holds and is to give back, so that another one can have them. */
  readonly release: readonly number[]
}

/**
 * What a process does about its share, so that all together end up with equal shares and nobody moves a shard without
 * need: every process decides by itself, and two that see the same decide alike. Two that see different things may both
 * claim a shard; the database lets one.
 */
export function planShare({ members, shards }: SharingView, me: string): SharingPlan {
  const held = new Map(members.map((member) => [member, 0]))
  for (const { holder } of shards) if (holder !== undefined) held.set(holder, (held.get(holder) ?? 0) + 1)
  const quotas = quotasOf(members, held, shards.length)

  const mine = shards.filter(({ holder }) => holder === me).map(({ shard }) => shard)
  const quota = quotas.get(me) ?? 0
  if (mine.length > quota) return { claim: [], release: mine.slice(quota) }

  const free = shards.filter(({ holder }) => holder === undefined).map(({ shard }) => shard)
  let before = 0
  for (const member of members) {
    const wanted = Math.max(0, (quotas.get(member) ?? 0) - (held.get(member) ?? 0))
    if (member === me) return { claim: free.slice(before, before + wanted), release: [] }
    before += wanted
  }
  return { claim: [], release: [] }
}

/** How many shards each may hold: equal shares, the larger ones to those that hold most, so that little moves. */
function quotasOf(
  members: readonly string[],
  held: ReadonlyMap<string, number>,
  shards: number,
): ReadonlyMap<string, number> {
  const share = Math.floor(shards / members.length)
  const larger = shards % members.length
  const byHeld = members.toSorted((a, b) => (held.get(b) ?? 0) - (held.get(a) ?? 0))
  return new Map(byHeld.map((member, rank) => [member, rank < larger ? share + 1 : share]))
}
