/** Keeps a membership alive while handlers run, however long they take. */
export class Heartbeats {
  readonly #timer: NodeJS.Timeout
  #inFlight: Promise<void> | undefined

  /**
   * @param beat Sends one heartbeat.
   * @param onError Told about each beat that failed; beating goes on.
   */
  constructor(intervalMs: number, beat: () => Promise<void>, onError: (error: unknown) => void) {
    this.#timer = setInterval(() => {
      this.#inFlight ??= beat()
        .catch(onError)
        .finally(() => void (this.#inFlight = undefined))
    }, intervalMs)
  }

  /** Resolves when the beat on its way is answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#inFlight
  }
}
