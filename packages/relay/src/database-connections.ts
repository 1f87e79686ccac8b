import pg, { type Client, type ClientConfig } from 'pg'

/** The relay's two connections: windows are read on one and recorded on the other, so that neither waits. */
export interface DatabaseConnections extends AsyncDisposable {
  readonly reader: Client
  readonly recorder: Client
}

// No statement of the relay takes longer, a first page over ten million rows included; the wait for a lost server is bounded.
const queryTimeoutMs = 300_000

export async function connectDatabase(config: ClientConfig, name: string): Promise<DatabaseConnections> {
  const reader = connection(config, `oncebox-relay ${name} reader`)
  const recorder = connection(config, `oncebox-relay ${name} recorder`)
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

function connection(config: ClientConfig, applicationName: string): Client {
  const client = new pg.Client({
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    query_timeout: queryTimeoutMs,
    application_name: applicationName.slice(0, 63),
    ...config,
  })
  // A lost connection fails the statement in hand, which is where it is handled; without a listener it would end the process.
  client.on('error', () => undefined)
  return client
}
