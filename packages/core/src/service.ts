/** Everything that lives longer than a call: relay, consumer, servers. Started once, stopped once, safe to stop twice. */
export interface Service extends AsyncDisposable {
  readonly state: ServiceState
  /**
   * Resolves when the service does its work.
   * @param options.signal Aborting it during the start gives up; afterwards it has no effect.
   */
  start(options?: { readonly signal?: AbortSignal }): Promise<void>
  /**
   * Finishes what is in hand, commits it and releases everything. A second call waits for the first.
   * @param options.timeoutMs After this the work in hand is abandoned; every promise holds all the same. Default 30,000.
   */
  stop(options?: { readonly timeoutMs?: number }): Promise<void>
}

/** `failed` means that the service stopped by itself; its error event says why. */
export type ServiceState = 'created' | 'starting' | 'running' | 'stopping' | 'stopped' | 'failed'
