import { randomUUID } from 'node:crypto'
import type { Client, ClientConfig, Notification } from 'pg'
import { delay, OutboxError } from '@oncebox/core'
import { notifyChannel } from '@oncebox/outbox'
import { connectClient } from '../database-connections.js'
import type { WakeSignal } from './wake-signal.js'

export interface ListenRequest {
  /** Its notifications arrive for as long as it is connected. */
  readonly client: Client
  /** For the connection that tries out whether they do. */
  readonly db: ClientConfig
  readonly relay: string
  readonly wake: WakeSignal
  readonly signal: AbortSignal
}

// A notification that comes at all comes in milliseconds.
const arrivalTimeoutMs = 2_000

/**
 * Wakes the shards at each notification of the database, and resolves when one has arrived that was sent to try it out.
 * It is sent over another connection, as a pooler in transaction mode would hand its own back to the one that waits for
 * it. Polling goes on either way: a notification is a hint.
 *
 * @throws OutboxError RELAY_LISTEN_UNSUPPORTED when nothing arrives; a driver error
 */
export async function listen({ client, db, relay, wake, signal }: ListenRequest): Promise<void> {
  const token = randomUUID()
  const arrived = new Promise<void>((resolve) => {
    client.on('notification', ({ channel, payload }: Notification) => {
      if (channel !== notifyChannel) return
      if (payload === token) resolve()
      else wake.fire()
    })
  })
  await client.query(`listen ${notifyChannel}`)
  const sender = await connectClient(db, `oncebox-relay ${relay} listen`)
  try {
    await sender.query('select pg_notify($1, $2)', [notifyChannel, token])
  } finally {
    await sender.end().catch(() => undefined)
  }
  const tooLate = new AbortController()
  try {
    const unsupported = delay(arrivalTimeoutMs, AbortSignal.any([tooLate.signal, signal])).then(() => {
      throw new OutboxError(
        'RELAY_LISTEN_UNSUPPORTED',
        `a notification on ${notifyChannel} did not arrive within ${arrivalTimeoutMs} ms`,
      )
    })
    await Promise.race([arrived, unsupported])
  } finally {
    tooLate.abort()
  }
}
