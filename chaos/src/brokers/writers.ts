import pg from 'pg'

const writers = 4
const keysPerWriter = 50

const insertEvent = `
insert into outbox.events (bucket, id, source, topic, type, key, payload)
values (outbox.bucket($2), outbox.uuid7(), 'chaos', $1, 'chaos.happened', $2, $3)`

/** Emits events, a transaction each. A key belongs to one writer, so the order of its sequence numbers is the order of its commits. */
export class Writers implements AsyncDisposable {
  readonly #clients: readonly pg.Client[]
  readonly #topic: string
  #written = 0

  private constructor(clients: readonly pg.Client[], topic: string) {
    this.#clients = clients
    this.#topic = topic
  }

  static async connect(url: string, topic: string): Promise<Writers> {
    const clients = Array.from({ length: writers }, () => new pg.Client(url))
    await Promise.all(clients.map((client) => client.connect()))
    return new Writers(clients, topic)
  }

  /** Resolves when `events` more are committed. */
  async write(events: number, signal: AbortSignal): Promise<void> {
    const end = this.#written + events
    await Promise.all(this.#clients.map((client, writer) => this.#writeUntil(end, client, writer, signal)))
  }

  async #writeUntil(end: number, client: pg.Client, writer: number, signal: AbortSignal): Promise<void> {
    for (let turn = 0; this.#written < end; turn++) {
      signal.throwIfAborted()
      const number = this.#written++
      const key = `key-${writer}-${turn % keysPerWriter}`
      await client.query({
        name: 'insert-event',
        text: insertEvent,
        values: [this.#topic, key, Buffer.from(JSON.stringify({ number, filler: 'x'.repeat(200) }))],
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()))
  }
}
