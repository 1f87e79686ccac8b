import type { Client } from '../client.js'

/** A client that may have to be found, or built, before it can be tested. */
export interface ClientSource {
  readonly name: string
  /** @throws ClientMissing when it cannot be had here */
  prepare(context: PrepareContext): Promise<Client>
}

export interface PrepareContext {
  /** It was asked for by name, so it may take its time. */
  readonly wanted: boolean
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** A client that cannot be had on this machine. */
export class ClientMissing extends Error {
  override readonly name = 'ClientMissing'
}
