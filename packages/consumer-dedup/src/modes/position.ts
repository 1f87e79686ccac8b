import { faultPoint, type SqlConnection, type SqlResult, type Statement } from '@oncebox/core'
import { takeRetried } from '../retrying/open-retries.js'
import { DatabasePartition, type Decision } from './database-partition.js'
import type { Subject } from './partition-effects.js'

/**
 * `position`: the position is moved, by compare and set, in the first statement of the effect's transaction: one row
 * a partition, however many events. Whoever comes with an older position, a member that was paused and lost its
 * partition meanwhile, finds it moved and changes nothing. Knows offsets, not ids: an event that is published twice is
 * two events.
 */
export class PositionPartition<Tx> extends DatabasePartition<Tx> {
  protected opening({ record }: Subject): Statement {
    return this.position.statementTo(record.offset + 1n)
  }

  protected async decide(
    connection: SqlConnection,
    { record, retried }: Subject,
    opened?: SqlResult<object>,
  ): Promise<Decision<boolean>> {
    const backend = await this.position.moveInside(connection, record.offset + 1n, opened)
    await faultPoint('consumer.position.moved')
    // By offset alone a copy would take effect again that a restored database has handled anew from its topic.
    if (retried !== undefined) return await takeRetried(connection, this.options.name, retried, this.position)
    return { answer: true, backend }
  }

  protected async decideTogether(
    connection: SqlConnection,
    subjects: readonly Subject[],
    next: bigint,
  ): Promise<Decision<readonly Subject[]>> {
    const backend = await this.position.moveInside(connection, next)
    await faultPoint('consumer.position.moved')
    return { answer: subjects, backend }
  }

  protected override ended({ record }: Subject): void {
    this.position.moved(record.offset + 1n)
  }

  protected override endedTogether(next: bigint): void {
    this.position.moved(next)
  }
}
