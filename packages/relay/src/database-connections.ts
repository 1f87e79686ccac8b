import type { Socket } from 'node:net'
import pg, { type Client, type ClientConfig } from 'pg'

/** The relay's two connections: windows are read on one and recorded on the other, so that neither waits. */
export interface DatabaseConnections extends AsyncDisposable {
  readonly reader: Client
  readonly recorder: Client
}

export async function connectDatabase(config: ClientConfig, name: string): Promise<DatabaseConnections> {
  const reader = clientFor(config, `oncebox-relay ${name} reader`)
  const recorder = clientFor(config, `oncebox-relay ${name} recorder`)
  const dispose = async (): Promise<void> => {
    await Promise.allSettled([reader.end(), recorder.end()])
  }
  try {
    await reader.connect()
    await recorder.connect()
  } catch (error) {
    await dispose()
    throw error
  }
  return { reader, recorder, [Symbol.asyncDispose]: dispose }
}

/** A connection of its own. */
export async function connectClient(config: ClientConfig, applicationName: string): Promise<Client> {
  const client = clientFor(config, applicationName)
  try {
    await client.connect()
    return client
  } catch (error) {
    await client.end().catch(() => undefined)
    throw error
  }
}

function clientFor(config: ClientConfig, applicationName: string): Client {
  const client = new pg.Client({
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    application_name: applicationName.slice(0, 63),
    ...config,
  })
  // A lost connection fails the statement in hand, which is where it is handled; without a listener it would end the process.
  client.on('error', () => undefined)
  return client
}

/**
 * Bounds work on a connection: when it takes longer, the socket is destroyed, which fails every statement on it. The
 * driver's own query_timeout is not used: for a COPY it leaves a timer behind that fires into a later statement.
 */
export async function bounded<Result>(
  client: Client,
  timeoutMs: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const timer = setTimeout(
    () => socketOf(client).destroy(new Error(`the database did not answer within ${timeoutMs} ms`)),
    timeoutMs,
  )
  try {
    return await work()
  } finally {
    clearTimeout(timer)
  }
}

// `connection` is public in pg's code and missing in its types.
const socketOf = (client: Client): Socket =>
  (client as Client & { readonly connection: { readonly stream: Socket } }).connection.stream
