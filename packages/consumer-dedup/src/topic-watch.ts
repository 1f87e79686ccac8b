import type { Assignment, FetchControls } from './assignment.js'
import type { ClusterFacts } from './cluster-facts.js'

const watchMs = 5_000

/**
 * Looks from time to time whether an owned topic was deleted and created again. kafkajs fetches by name and goes on at
 * its old offset in the new topic: 433 of 500 events were never delivered. The new topic's id has a position of its own.
 */
export class TopicWatch {
  readonly #cluster: ClusterFacts
  readonly #assignment: Pick<Assignment<unknown>, 'topicIds' | 'reread'>
  #fetches: FetchControls | undefined
  #timer: NodeJS.Timeout | undefined
  #look: Promise<void> | undefined

  constructor(cluster: ClusterFacts, assignment: Pick<Assignment<unknown>, 'topicIds' | 'reread'>) {
    this.#cluster = cluster
    this.#assignment = assignment
  }

  /** The client of the current assignment. */
  use(fetches: FetchControls): void {
    this.#fetches = fetches
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#look ??= this.#lookOnce().finally(() => void (this.#look = undefined))
    }, watchMs)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#look
  }

  async #lookOnce(): Promise<void> {
    for (const [topic, topicId] of this.#assignment.topicIds()) {
      // A cluster that does not answer, or a topic that is gone, is the group's client's to report.
      const current = await this.#cluster.topicId(topic).catch(() => topicId)
      if (current !== topicId && this.#fetches !== undefined) this.#assignment.reread(topic, this.#fetches)
    }
  }
}
