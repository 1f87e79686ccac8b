import type { MarkKey } from '../records/mark-key.js'
import { attemptKey, type AttemptLog, type Attempts } from './attempts.js'

const none: Attempts = { attempts: 0, kills: 0 }

/** Attempts that end with the process, in the modes that have no database: an event whose handler kills the process is tried for ever. */
export class AttemptsInMemory implements AttemptLog {
  readonly #known = new Map<string, Attempts>()

  of(mark: MarkKey): Attempts | undefined {
    return this.#known.get(attemptKey(mark))
  }

  startAlone(mark: MarkKey): Promise<Attempts> {
    return Promise.resolve(this.of(mark) ?? none)
  }

  fail(mark: MarkKey): Promise<Attempts> {
    const { attempts, kills } = this.of(mark) ?? none
    const known = { attempts: attempts + 1, kills }
    this.#known.set(attemptKey(mark), known)
    return Promise.resolve(known)
  }

  leaveAlone(): Promise<void> {
    return Promise.resolve()
  }

  forget(mark: MarkKey): void {
    this.#known.delete(attemptKey(mark))
  }
}
