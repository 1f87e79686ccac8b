/** A database with consumers on it, for the tests of one file. */
import type { TestDatabase } from '@internal/stack'
import { installFaultHandler } from '@oncebox/core'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { createInboxDatabase } from './fixture.js'
import { effectConsumer, openPool, type OrdersConsumer } from './positions.js'

class Inbox {
  #opened: { readonly database: TestDatabase; readonly pool: pg.Pool } | undefined
  readonly #running: OrdersConsumer[] = []

  get pool(): pg.Pool {
    return this.#open.pool
  }

  get url(): string {
    return this.#open.database.url
  }

  get #open() {
    if (this.#opened === undefined) throw new Error('the database is there when the tests run')
    return this.#opened
  }

  /** A consumer that is stopped after the test. */
  consume(...given: Parameters<typeof effectConsumer>): OrdersConsumer {
    const consumer = effectConsumer(...given)
    this.#running.push(consumer)
    return consumer
  }

  async open(connectionsMax: number): Promise<void> {
    const database = await createInboxDatabase()
    this.#opened = { database, pool: openPool(database.url, connectionsMax) }
  }

  async clear(stopMs: number): Promise<void> {
    installFaultHandler(undefined)
    await Promise.all(this.#running.splice(0).map((consumer) => consumer.stop({ timeoutMs: stopMs })))
    await this.pool.query('truncate effects')
  }

  async close(): Promise<void> {
    await this.#opened?.pool.end()
    await this.#opened?.database.drop()
  }
}

export function useInbox({ connectionsMax = 8, stopMs = 30_000 } = {}): Inbox {
  const inbox = new Inbox()
  beforeAll(() => inbox.open(connectionsMax))
  afterEach(() => inbox.clear(stopMs))
  afterAll(() => inbox.close())
  return inbox
}
