import type { Client } from 'pg'
import { faultPoint, OutboxError } from '@oncebox/core'
import { bounded } from '../database-connections.js'
import type { WindowName } from '../position.js'
import type { Snapshot } from './snapshot.js'

export interface WindowRecord {
  readonly shard: number
  readonly window: WindowName
  readonly to: Snapshot
  /** The newest window whose last batch is committed in Kafka for good: what rotation goes by. */
  readonly confirmed: Pick<WindowName, 'generation' | 'epoch' | 'number'> | undefined
  readonly lifeToken: string
}

// One insert; what can hold it up is the disk, or a synchronous standby.
const recordTimeoutMs = 30_000

/**
 * Writes the record of a window, committed synchronously on the primary, before the window is used: nothing is
 * published that a crash of the database could take back, and a snapshot without a record is never built upon. On a
 * connection of its own, so that it runs while the batch is on its way to Kafka; EndTxn waits for it.
 */
export class WindowRecorder {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  /** @throws OutboxError RELAY_LIFE_ENDED when the server has crashed since `to` was taken, or is another one. */
  async record(record: WindowRecord): Promise<void> {
    // One round trip; the commit is part of it, so an answer means that it is durable.
    const results = (await bounded(
      this.#client,
      recordTimeoutMs,
      async () => await this.#client.query(insertWindow(record)),
    )) as unknown as readonly {
      readonly rowCount: number | null
    }[]
    if (results[2]?.rowCount !== 1) {
      throw new OutboxError('RELAY_LIFE_ENDED', 'the window record was refused: the life token is gone', {
        details: { shard: record.shard, window: record.window.number },
      })
    }
    await faultPoint('relay.window.recorded')
  }
}

// Names the life token: a record over a fresh connection after a crash would prove a snapshot that is worthless.
// The table's check (xmax of the snapshot <= own txid) refuses the rest.
const insertWindow = ({
  shard,
  window,
  to,
  confirmed,
  lifeToken,
}: WindowRecord): string => `begin isolation level read committed;
set local synchronous_commit = on;
insert into outbox.windows (shard, generation, epoch, window_number, incarnation, to_snapshot, confirmed_generation, confirmed_epoch, confirmed_window)
select ${shard}, ${window.generation}, ${window.epoch}, ${window.number}, '${window.incarnation}', '${to.text}',
       ${confirmed === undefined ? 'null, null, null' : `${confirmed.generation}, ${confirmed.epoch}, ${confirmed.number}`}
  from outbox.life where token = '${lifeToken}' and not pg_is_in_recovery();
commit`
