import type { Client, ClientConfig } from 'pg'
import { bounded, connectClient } from '../database-connections.js'
import { readBacklog, type Backlog, type Unpublished } from '../inspecting/backlog.js'
import { readHolders, type Holder } from '../inspecting/holders.js'

/** What a look at the outbox shows. */
export interface Sight {
  /** By shard; none for a shard whose backlog could not be told in time. */
  readonly backlogs: ReadonlyMap<number, Backlog>
  readonly holders: readonly Holder[]
}

export interface WatchedShard extends Unpublished {
  readonly shard: number
}

// Several scrapers at once are answered by one look.
const freshMs = 1_000
const lookTimeoutMs = 5_000

/**
 * Looks at the outbox when somebody scrapes metrics, over a connection of its own that is made at the first look: whoever
 * scrapes nothing pays nothing. Looking never fails; what could not be seen is undefined.
 */
export class OutboxWatch implements AsyncDisposable {
  readonly #db: ClientConfig
  readonly #applicationName: string
  #client: Client | undefined
  #looking: Promise<Sight | undefined> | undefined
  #lookedAtMs = 0

  constructor(db: ClientConfig, relay: string) {
    this.#db = db
    this.#applicationName = `oncebox-relay ${relay} watch`
  }

  async look(shards: readonly WatchedShard[]): Promise<Sight | undefined> {
    if (this.#looking === undefined || performance.now() - this.#lookedAtMs > freshMs) {
      // One look at a time: the next one waits for it.
      this.#looking = (this.#looking ?? Promise.resolve(undefined)).then(() => this.#look(shards))
      this.#lookedAtMs = performance.now()
    }
    return await this.#looking
  }

  async #look(shards: readonly WatchedShard[]): Promise<Sight | undefined> {
    try {
      const client = (this.#client ??= await connectClient(this.#db, this.#applicationName))
      return await bounded(client, lookTimeoutMs, async () => await lookWith(client, shards))
    } catch {
      // The database is away, which the shards themselves tell; the next look connects again.
      await this.#disconnect()
      return undefined
    }
  }

  async #disconnect(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    await client?.end().catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#looking
    await this.#disconnect()
  }
}

async function lookWith(client: Client, shards: readonly WatchedShard[]): Promise<Sight> {
  const deadlineMs = performance.now() + lookTimeoutMs / 2
  const holders = await readHolders(client)
  const backlogs = new Map<number, Backlog>()
  for (const { shard, ...unpublished } of shards) {
    if (performance.now() > deadlineMs) break
    const backlog = await readBacklog(client, unpublished)
    if (backlog !== undefined) backlogs.set(shard, backlog)
  }
  return { backlogs, holders }
}
