import { OutboxError } from '@oncebox/core'

/** What identifies an event: `id` is unique within `source`. */
export interface EventKey {
  readonly source: string
  readonly id: string
}

const lengthMax = 1_024

/**
 * The keys of a store. All have the same hash tag, so in a cluster they are in one slot, and one script may use them
 * together.
 */
export class KeyNames {
  readonly sentinel: string
  readonly #prefix: string

  /** @throws OutboxError CONSUMER_OPTIONS_INVALID */
  constructor(consumer: string, hashTag: string | undefined) {
    named('consumer', consumer)
    const tag = hashTag ?? `oncebox:${consumer}`
    // The first pair of braces in a key is its hash tag: with others in it, keys would go to other slots.
    if (!/^[^{}]{1,255}$/.test(tag))
      throw invalid(
        `${hashTag === undefined ? 'consumer' : 'hashTag'} is 1 to 255 characters without { and }`,
      )
    this.#prefix = hashTag === undefined ? `{${tag}}` : `{${tag}}:oncebox:${consumer.length}:${consumer}`
    this.sentinel = `${this.#prefix}:sentinel`
  }

  /** With the length of the source: ('a:b', 'c') and ('a', 'b:c') are two events. */
  mark({ source, id }: EventKey): string {
    return `${this.#prefix}:mark:${suffix(source, id)}`
  }

  /** Of the filter in front of a database. */
  remembered({ source, id }: EventKey): string {
    return `${this.#prefix}:remembered:${suffix(source, id)}`
  }
}

function suffix(source: string, id: string): string {
  named('source', source)
  named('id', id)
  return `${source.length}:${source}:${id}`
}

function named(what: string, value: string): void {
  if (typeof value !== 'string' || value.length === 0 || value.length > lengthMax)
    throw invalid(`${what} is 1 to ${lengthMax} characters`)
}

const invalid = (message: string): OutboxError => new OutboxError('CONSUMER_OPTIONS_INVALID', message)
