import type { Client } from 'pg'
import { OutboxError } from '@oncebox/core'

export interface Claim {
  readonly shard: number
  readonly generation: number
  readonly relay: string
  readonly incarnation: string
  /** One run of a relay in one process, and nobody else. */
  readonly holder: string
  readonly clusterId: string
  readonly progressTopic: string
  readonly progressTopicId: string
}

/** The first key of the advisory locks on shards; the second is the shard, or -1 for all of them. */
export const lockClass = 0x6f6e6365

/**
 * Raises the epoch of a shard and returns it. The lock is taken exclusively, so no statement of an older holder that
 * checked its epoch is still on its way. An epoch that this holder raised without learning of it (the commit was not
 * answered) is its own: taken for a rival's, it would stop a relay that is alone.
 *
 * @param expected The epoch that this process holds, or at which it has seen the shard without a live holder: when
 *   somebody else has raised it since, the shard is his.
 * @throws OutboxError RELAY_FENCED
 */
export async function claimShard(client: Client, claim: Claim, expected: number): Promise<number> {
  await client.query('begin isolation level read committed')
  try {
    await client.query('set local synchronous_commit = on')
    await client.query('select pg_advisory_xact_lock($1, $2)', [lockClass, claim.shard])
    // A statement of its own: it must see what the lock waited for.
    const held = await client.query<{ epoch: string; holder: string }>(
      'select epoch, holder from outbox.claims where shard = $1 order by epoch desc limit 1',
      [claim.shard],
    )
    const highest = Number(held.rows[0]?.epoch ?? 0)
    if (highest !== expected && held.rows[0]?.holder !== claim.holder) {
      throw new OutboxError('RELAY_FENCED', `shard ${claim.shard} of relay ${claim.relay} has a new holder`, {
        details: { shard: claim.shard, epoch: expected, newEpoch: highest },
      })
    }
    const epoch = highest + 1
    await client.query(insertClaim, [
      claim.shard,
      epoch,
      claim.generation,
      claim.relay,
      claim.incarnation,
      claim.holder,
      claim.clusterId,
      claim.progressTopic,
      claim.progressTopicId,
    ])
    await client.query('commit')
    return epoch
  } catch (error) {
    // A lost connection has rolled back already; the first error is the one to tell.
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

// Insert-only: the highest epoch counts. Two claimants at once meet in the primary key.
const insertClaim = `
insert into outbox.claims (shard, epoch, generation, relay, incarnation, holder, kafka_cluster_id, progress_topic, progress_topic_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
