import { delay, OutboxError } from '@oncebox/core'
import { Deadline } from '../deadline.js'
import { denialOf } from '../protocol/denial.js'
import { describeCode, errorCode, groupFencing } from '../protocol/error-codes.js'
import { heartbeat } from '../protocol/heartbeat.js'
import type { GroupCoordinator } from './group-coordinator.js'
import type { GroupMetadata } from './group-offsets.js'

interface GenerationOptions {
  readonly metadata: GroupMetadata
  readonly coordinator: GroupCoordinator
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
}

const retryMsMax = 500

/**
 * One generation of a group, as one member sees it: alive while its heartbeats are answered. It ends when the group wants
 * to rebalance (what is in hand may be finished), and is lost when the partitions are, or may be, somebody else's.
 */
export class Generation {
  readonly metadata: GroupMetadata
  readonly #options: GenerationOptions
  readonly #ending = new AbortController()
  readonly #lost = new AbortController()
  readonly #closed = new AbortController()
  /** When the last request was sent that the coordinator answered as usual. */
  #heardAt = performance.now()

  constructor(options: GenerationOptions) {
    this.metadata = options.metadata
    this.#options = options
  }

  /** Aborted when the generation is about to end. */
  get ending(): AbortSignal {
    return this.#ending.signal
  }

  /** Aborted when the partitions may be somebody else's. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Work in hand may be finished, nothing new is begun. */
  end(reason: OutboxError): void {
    this.#ending.abort(reason)
  }

  /** Nothing that is in hand may be finished. */
  lose(reason: OutboxError): void {
    this.#ending.abort(reason)
    this.#lost.abort(reason)
  }

  /** Ends the heartbeats. */
  close(): void {
    this.#closed.abort()
  }

  /**
   * Sends heartbeats until close() or until it is lost.
   * @throws OutboxError when nothing but a person can help
   */
  async beat(onTrouble: (error: OutboxError) => void): Promise<void> {
    const { heartbeatIntervalMs, sessionTimeoutMs } = this.#options
    let waitMs = heartbeatIntervalMs
    while (!this.#closed.signal.aborted && !this.lost.aborted) {
      await delay(waitMs, this.#closed.signal).catch(() => undefined)
      if (this.#closed.signal.aborted) return
      // First of all, because this process may just have woken up from a long pause.
      if (this.#silentMs >= sessionTimeoutMs) return this.lose(this.#unheard())
      waitMs = (await this.#isHeard(onTrouble))
        ? heartbeatIntervalMs
        : Math.min(heartbeatIntervalMs, retryMsMax)
    }
  }

  get #silentMs(): number {
    return performance.now() - this.#heardAt
  }

  /** Whether a heartbeat was answered in the usual way. */
  async #isHeard(onTrouble: (error: OutboxError) => void): Promise<boolean> {
    const { coordinator, sessionTimeoutMs, metadata } = this.#options
    const sentAt = performance.now()
    let code: number
    try {
      using deadline = new Deadline(
        Math.max(1, Math.min(sessionTimeoutMs / 2, sessionTimeoutMs - this.#silentMs)),
        `a heartbeat of group ${metadata.groupId}`,
        this.#closed.signal,
      )
      code = (await coordinator.ask(heartbeat, metadata, deadline)).errorCode
    } catch (error) {
      if (this.#closed.signal.aborted) return false
      if (!OutboxError.is(error) || !error.retriable) throw error
      onTrouble(error)
      return false
    }
    if (code === errorCode.NONE || code === errorCode.REBALANCE_IN_PROGRESS) {
      this.#heardAt = sentAt
      if (code !== errorCode.NONE) this.end(this.#fenced(code))
      return true
    }
    if (groupFencing.has(code)) {
      this.lose(this.#fenced(code))
      return false
    }
    const denial = denialOf(`staying in group ${metadata.groupId}`, heartbeat, code, {
      group: metadata.groupId,
    })
    if (denial !== undefined) throw new OutboxError('KAFKA_AUTHORIZATION_FAILED', denial.message, denial)
    coordinator.forget() // it moves or loads, or this is a code that another coordinator may not answer
    return false
  }

  #fenced(code: number): OutboxError {
    return new OutboxError('KAFKA_GROUP_FENCED', this.#describe(code), {
      details: { ...this.metadata, code },
    })
  }

  #unheard(): OutboxError {
    const { groupId } = this.metadata
    const { sessionTimeoutMs } = this.#options
    return new OutboxError(
      'KAFKA_GROUP_FENCED',
      `group ${groupId}: no heartbeat was answered for the session timeout of ${sessionTimeoutMs} ms`,
      { details: { ...this.metadata } },
    )
  }

  #describe(code: number): string {
    const { groupId, generationId } = this.metadata
    return `group ${groupId}, generation ${generationId}: ${describeCode(code)}`
  }
}
