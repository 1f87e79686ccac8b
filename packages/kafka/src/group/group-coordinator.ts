import { nextDelayMs, OutboxError } from '@oncebox/core'
import type { BrokerConnection } from '../broker-connection.js'
import type { BrokerConnections } from '../broker-connections.js'
import type { Cluster } from '../cluster.js'
import type { Deadline } from '../deadline.js'
import type { BrokerAddress } from '../options.js'
import type { Api } from '../protocol/api.js'
import { coordinatorNotReady } from '../protocol/error-codes.js'

const retry = { minMs: 10, maxMs: 500 }

/**
 * The broker that keeps a group's state, looked up when it is needed and again when it has moved. JoinGroup and SyncGroup
 * have a connection of their own: the broker answers them when other members have done their part, and would not read a
 * heartbeat behind them before.
 */
export class GroupCoordinator {
  readonly groupId: string
  readonly #cluster: Cluster
  readonly #prompt: BrokerConnections
  readonly #held: BrokerConnections
  #address: BrokerAddress | undefined

  constructor(cluster: Cluster, groupId: string) {
    this.groupId = groupId
    this.#cluster = cluster
    this.#prompt = cluster.newConnections()
    this.#held = cluster.newConnections()
  }

  /** A request that is answered at once. @throws OutboxError KAFKA_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED, ... */
  async ask<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    deadline: Deadline,
  ): Promise<Answer> {
    return await this.#ask(this.#prompt, api, request, deadline)
  }

  /**
   * A request that may be repeated: tried again while the coordinator is away or moves, until the deadline.
   *
   * @param codeOf The code of an answer that decides.
   */
  async askAgain<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    codeOf: (answer: Answer) => number,
    deadline: Deadline,
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await this.ask(api, request, deadline)
        if (!coordinatorNotReady.has(codeOf(answer))) return answer
        this.forget()
      } catch (error) {
        if (deadline.expired || !OutboxError.is(error, 'KAFKA_UNAVAILABLE')) throw error
      }
      await deadline.delay(nextDelayMs(retry, attempt))
    }
  }

  /** A request whose answer waits for other members, until the deadline. */
  async askPatiently<Request, Answer>(
    api: Api<Request, Answer>,
    request: Request,
    deadline: Deadline,
  ): Promise<Answer> {
    return await this.#ask(this.#held, api, request, deadline)
  }

  /** The group is kept elsewhere by now, or will be. */
  forget(): void {
    this.#address = undefined
  }

  /** Gives up what is unanswered on the patient connection: a join that nobody waits for any more. */
  async close(): Promise<void> {
    await Promise.all([this.#held.close(), this.#prompt.close()])
  }

  async #ask<Request, Answer>(
    connections: BrokerConnections,
    api: Api<Request, Answer>,
    request: Request,
    deadline: Deadline,
  ): Promise<Answer> {
    let connection: BrokerConnection | undefined
    try {
      this.#address ??= await this.#cluster.coordinator('group', this.groupId, deadline)
      connection = await connections.to(this.#address, deadline)
      return await deadline.race(connection.call(api, request, { waitMs: deadline.remainingMs }))
    } catch (error) {
      // A connection that has gone silent looks open for many minutes, and its broker may not be the coordinator any more.
      if (deadline.expired || OutboxError.is(error, 'KAFKA_UNAVAILABLE')) {
        connection?.close()
        this.forget()
      }
      throw error
    }
  }
}
