import { channels, faultPoint, nextDelayMs, OutboxError } from '@oncebox/core'
import { BatchLimit } from '../publishing/batch-limit.js'
import type { BatchEncoder } from '../publishing/batch-encoder.js'
import type { EncodedBatch } from '../publishing/encoded-batch.js'
import { refusalOf, type Exceptions, type Refusal } from '../publishing/exceptions.js'
import { asRefusedTopic, refusedContent } from '../publishing/refusals.js'
import type { LetterBook } from './letter-book.js'
import type { DueLetter, LetterReads, Queues } from './letter-reads.js'
import type { LetterOutcome, LetterWrites, SettledLetter } from './letter-writes.js'
import { ParkedKeys } from './parked-keys.js'

export interface RequeueParts {
  readonly relay: string
  readonly shard: number
  readonly book: LetterBook
  readonly reads: LetterReads
  readonly writes: LetterWrites
  readonly encoder: BatchEncoder
  readonly progressTopic: string
  readonly bytesMax: number
  /**
   * Publishes copies of letters in a transaction of their own, with a position that names them. When it throws, none is
   * published, or the shard has to be opened again.
   */
  readonly commit: (batch: EncodedBatch, letters: readonly number[]) => Promise<void>
  /** Asks again what is known of a topic. @returns Whether it has changed. */
  readonly refreshTopic: (topic: string) => Promise<boolean>
  /** Letters of a topic that is refused wait for it. */
  readonly onWait: (error: OutboxError) => void
  readonly signal: AbortSignal
}

const lookMs = 1_000
const actionsMax = 1_000
/** Queues that are known to be due at a time; more actions are taken when there are fewer. */
const dueMax = 10_000
/** Queues that are remembered while their topics are away. Of further ones, only where their actions begin. */
const restingMax = 1_000
// Their numbers stand in the position.
const lettersMax = 500
const queuesMax = 500
// A topic that is refused costs each attempt the patience of the session, for which events of other topics wait.
const topicRest = { minMs: 10_000, maxMs: 600_000 }

/** Queues of a topic that was refused, left alone for a while. */
interface RestingTopic {
  attempts: number
  untilMs: number
  readonly queues: Map<string, number>
}

/**
 * Publishes dead letters again, and drops others, as people ask for it: between two batches of the outbox, while nothing is
 * on its way. The copies of a key go out in the order in which they were set aside, the refused one first, until one is
 * refused again or none is left; then the key is free. Never by inserting them into the outbox anew: they would get in
 * behind later events of their key.
 */
export class Requeue {
  readonly #parts: RequeueParts
  readonly #limit = new BatchLimit(lettersMax)
  readonly #resting = new Map<string, RestingTopic>()
  /** By topic, a number behind which actions were taken and forgotten: more letters wait for their topic than are remembered. */
  readonly #forgotten = new Map<string, number>()
  #takenAction = 0
  #lookAtMs = 0

  constructor(parts: RequeueParts) {
    this.#parts = parts
  }

  /** Whether there may be something to do. */
  get isDue(): boolean {
    return this.hasMore || performance.now() >= this.#lookAtMs
  }

  /** Whether letters wait for their turn. */
  get hasMore(): boolean {
    return this.#parts.book.due.size > 0
  }

  /** One turn: a bounded number of letters, so that events of other keys are held up for no longer than a batch takes. */
  async turn(): Promise<void> {
    if (performance.now() >= this.#lookAtMs) await this.#look()
    const { book, reads, bytesMax } = this.#parts
    if (book.due.size === 0) return
    const queues = new Map([...book.due].slice(0, queuesMax))
    const due = await reads.due(queues, this.#limit.rows, bytesMax)
    for (const letter of due) if (this.#isResting(letter.topic)) this.#rest(letter)
    const letters = due.filter(({ topic }) => !this.#isResting(topic))
    if (letters.length > 0) await this.#publish(letters)
    await this.#review(queues)
  }

  async #look(): Promise<void> {
    this.#lookAtMs = performance.now() + lookMs
    for (const topic of this.#resting.keys()) if (!this.#isResting(topic)) this.#wake(topic)
    if (this.#parts.book.due.size < dueMax) await this.#takeActions()
    for (const [topic, after] of this.#forgotten)
      if (!this.#isResting(topic) && this.#parts.book.due.size < dueMax) await this.#takeAgain(topic, after)
  }

  async #takeActions(): Promise<void> {
    const { book, reads } = this.#parts
    const newest = await reads.newestAction()
    if (newest === this.#takenAction) return
    const actions = await reads.actions(this.#takenAction, newest, actionsMax)
    const discarded = actions.filter(({ action }) => action === 'discard')
    if (discarded.length > 0) {
      await faultPoint('relay.discard.taken')
      await this.#settle(
        'discarded',
        discarded.map(({ letter, number }) => ({ number: letter, action: number })),
      )
      await faultPoint('relay.discard.recorded')
    }
    for (const { queue, topic } of actions) {
      if (!book.due.has(queue)) book.due.set(queue, 0)
      // Whoever asks for it has looked after the topic.
      this.#takes(topic)
    }
    const last = actions.length < actionsMax ? undefined : actions.at(-1)
    this.#takenAction = last?.number ?? newest
    if (last !== undefined) this.#lookAtMs = 0
  }

  /** Actions of a topic that were forgotten while it was away; those that are done meanwhile are not among them. */
  async #takeAgain(topic: string, after: number): Promise<void> {
    const { book, reads } = this.#parts
    const actions = await reads.actions(after, this.#takenAction, actionsMax, topic)
    for (const { queue } of actions) if (!book.due.has(queue)) book.due.set(queue, 0)
    const last = actions.length < actionsMax ? undefined : actions.at(-1)
    if (last === undefined) return void this.#forgotten.delete(topic)
    this.#forgotten.set(topic, last.number)
    this.#lookAtMs = 0
  }

  async #publish(letters: readonly DueLetter[]): Promise<void> {
    const { reads, encoder, commit, book, signal } = this.#parts
    const rows = await reads.copies(letters.map(({ number }) => number))
    const batch = await encoder.encode(rows, 0n, nothingExcepted(), signal)
    await this.#settle('failed', refusedIn(batch, letters))
    if (batch.halt !== undefined) this.#restAll(batch.halt.error, letters)
    if (batch.events === 0) return
    const asideOf = new Set(batch.setAside.map(({ seq }) => Number(seq)))
    const published = letters.filter(({ number }) => number <= batch.lastSeq && !asideOf.has(number))
    await faultPoint('relay.requeue.taken')
    try {
      await commit(
        batch,
        published.map(({ number }) => number),
      )
    } catch (error) {
      return await this.#refused(error, published)
    }
    await faultPoint('relay.requeue.committed')
    await this.#settle('published', published)
    await faultPoint('relay.requeue.recorded')
    // They need not be walked over again.
    for (const { queue, number, topic } of published) {
      if (book.due.has(queue)) book.due.set(queue, number)
      this.#takes(topic)
    }
    this.#limit.committed()
  }

  /** The broker refuses the batch, and nothing of it is published: finds out which letter, or which topic, it is. */
  async #refused(error: unknown, letters: readonly DueLetter[]): Promise<void> {
    const content = refusedContent(error, this.#parts.progressTopic)
    if (content === undefined) return this.#restAll(error, letters)
    // The limit was lowered: the encoder finds by itself what is too large now.
    if (await this.#parts.refreshTopic(content.topic)) return
    const [first] = letters
    if (letters.length > 1 || first === undefined) return this.#limit.refused(letters.length)
    await this.#settle('failed', failed(letters, first.number, refusalOf(content.error)))
    this.#limit.committed()
  }

  /** Leaves the letters of a refused topic alone for a while: nothing is moved, and nobody else waits for it. */
  #restAll(error: unknown, letters: readonly DueLetter[]): void {
    const refused = asRefusedTopic(error, this.#parts.progressTopic)
    if (!OutboxError.is(refused, 'RELAY_TOPIC_UNAVAILABLE')) throw error
    const name = String(refused.details['topic'])
    const before = this.#resting.get(name)
    const attempts = (before?.attempts ?? 0) + 1
    const untilMs = performance.now() + nextDelayMs(topicRest, attempts)
    this.#resting.set(name, { attempts, untilMs, queues: before?.queues ?? new Map() })
    for (const letter of letters) if (letter.topic === name) this.#rest(letter)
    this.#parts.onWait(refused)
  }

  #isResting(topic: string): boolean {
    const resting = this.#resting.get(topic)
    return resting !== undefined && performance.now() < resting.untilMs
  }

  #rest({ topic, queue, action }: DueLetter): void {
    const { due } = this.#parts.book
    const floor = due.get(queue)
    if (floor === undefined) return
    due.delete(queue)
    // One that nobody has asked for is behind one that was published, and of a parked key: those have a bound of their own.
    if (action === 0 || this.#restingQueues < restingMax)
      return void this.#resting.get(topic)?.queues.set(queue, floor)
    this.#forgotten.set(topic, Math.min(this.#forgotten.get(topic) ?? action, action - 1))
  }

  get #restingQueues(): number {
    let queues = 0
    for (const resting of this.#resting.values()) queues += resting.queues.size
    return queues
  }

  /** Its letters are tried again. */
  #wake(topic: string): void {
    const resting = this.#resting.get(topic)
    for (const [queue, floor] of resting?.queues ?? []) this.#parts.book.due.set(queue, floor)
    resting?.queues.clear()
  }

  /** It takes letters again, as far as is known. */
  #takes(topic: string): void {
    this.#wake(topic)
    this.#resting.delete(topic)
  }

  async #settle(outcome: LetterOutcome, letters: readonly SettledLetter[]): Promise<void> {
    if (letters.length === 0) return
    const { relay, shard, writes } = this.#parts
    await writes.settle(outcome, letters)
    channels.relayDeadLettersSettled.publish({
      relay,
      shard,
      outcome,
      letters: letters.map(({ number }) => number),
    })
  }

  /** Frees the keys of which no letter is left, and leaves alone those that wait for a person. */
  async #review(queues: Queues): Promise<void> {
    const { book, reads } = this.#parts
    for (const { queue, topic, key, parksKey, state } of await reads.states(queues)) {
      if (state === 'due') continue
      book.due.delete(queue)
      if (state === 'empty' && parksKey && key !== null) book.parked.delete(topic, key)
    }
  }
}

/** Letters that the encoder has refused. Those behind one of their key wait for it, and need no word. */
const refusedIn = ({ setAside }: EncodedBatch, letters: readonly DueLetter[]): readonly SettledLetter[] =>
  setAside.flatMap(({ seq, refusal }) => (refusal === undefined ? [] : failed(letters, Number(seq), refusal)))

function failed(letters: readonly DueLetter[], number: number, refusal: Refusal): SettledLetter[] {
  const action = letters.find((letter) => letter.number === number)?.action ?? 0
  return [{ number, action, refusal }]
}

/**
 * Copies of letters are tried whatever is parked, and a refusal concerns the letter, whatever its topic wants for events.
 * Nobody waits for a topic of theirs.
 */
const nothingExcepted = (): Exceptions => ({
  passedOver: new Set(),
  refused: new Map(),
  parked: new ParkedKeys(),
  parkedKeysMax: Number.POSITIVE_INFINITY,
  doubtful: new Set(),
  choiceFor: () => 'park-key',
  topicPatienceMs: 0,
})
