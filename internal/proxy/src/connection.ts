/** One client, its connection to the server, and the two ways between them. */
import { connect, type Socket } from 'node:net'
import { Decoder } from './decoder.js'
import type { Direction, Frame } from './frame.js'
import type { Conversation, Framing, Grammar } from './framing.js'
import { Lane } from './lane.js'
import { deliverLate } from './late-delivery.js'
import { Passage } from './passage.js'
import { ProxyError } from './proxy-error.js'
import { reset } from './reset.js'
import type { Rules } from './rules.js'
import type { Upstream } from './upstream.js'
import type { Weather } from './weather.js'

export interface ConnectionParts {
  readonly client: Socket
  readonly upstream: Upstream
  readonly framing: Framing
  readonly rules: Rules
  readonly weather: Weather
  readonly onFailure: (error: ProxyError) => void
}

export class Connection {
  readonly #parts: ConnectionParts
  readonly #server: Socket
  readonly #ended = new AbortController()
  readonly #lanes: Readonly<Record<Direction, Lane>>
  readonly #conversation: Conversation
  #connected = false
  /** Cut behind a frame: whoever was sent it may still talk, and nobody listens. */
  #severed = false

  constructor(parts: ConnectionParts) {
    this.#parts = parts
    this.#conversation = parts.framing.converse()
    this.#server = connect({ ...parts.upstream, allowHalfOpen: true, noDelay: true })
    this.#server.once('connect', () => (this.#connected = true))
    this.#server.once('error', (cause) =>
      this.#connected ? undefined : parts.onFailure(unreachable(parts, cause)),
    )
    const { signal } = this.#ended
    this.#lanes = { request: new Lane(this.#server, signal), answer: new Lane(parts.client, signal) }
    for (const socket of [parts.client, this.#server]) {
      socket.on('error', () => undefined) // the way that reads from it sees the error, too
      socket.on('close', (failed) => (failed && !this.#severed ? this.cut() : undefined))
    }
  }

  /** Resolves when both ways have come to their end. */
  async run(): Promise<void> {
    const { requests, answers } = this.#conversation
    await Promise.all([
      this.#carry('request', this.#parts.client, requests),
      this.#carry('answer', this.#server, answers),
    ])
  }

  /** Resets both sides. */
  cut(): void {
    this.#ended.abort()
    reset(this.#parts.client)
    reset(this.#server)
  }

  async #carry(direction: Direction, source: Socket, grammar: Grammar): Promise<void> {
    const { weather } = this.#parts
    const { signal } = this.#ended
    const decoder = new Decoder(grammar)
    const passage = this.#passage(direction, source)
    try {
      // Not destroyed at its end, since the other way may still be open. Without an encoding, chunks are buffers.
      const chunks = source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
      for await (const chunk of chunks) {
        await weather.pass(signal)
        if (this.#severed) continue
        for (const piece of decoder.push(chunk)) {
          await passage.take(piece)
          if (signal.aborted) return
        }
      }
      await weather.pass(signal)
      if (this.#severed) return
      if (decoder.rest.length > 0) await this.#lanes[direction].write(decoder.rest)
      await this.#lanes[direction].end()
    } catch (error) {
      this.#fail(error)
    }
  }

  #passage(direction: Direction, source: Socket): Passage {
    const lane = this.#lanes[direction]
    return new Passage({
      lane,
      rules: this.#parts.rules,
      signal: this.#ended.signal,
      onSending: (frame) => this.#sending(frame),
      cut: () => this.cut(),
      cutBehind: async () => {
        this.#severed = true
        reset(source)
        await lane.end()
      },
      deliver: (frame, bytes, copied) => this.#deliver(frame, bytes, copied),
    })
  }

  async #deliver(frame: Frame, bytes: Buffer, copied: boolean): Promise<Buffer | undefined> {
    const { framing, upstream } = this.#parts
    const lane = this.#lanes[frame.direction]
    const alone = framing.repeatable && frame.direction === 'request'
    if (lane.open && !(copied && alone)) {
      const leave = await lane.enter()
      this.#sending(frame)
      await lane.write(bytes).finally(leave)
      return undefined
    }
    if (alone) return await deliverLate(upstream, framing, frame, bytes)
    throw new ProxyError('PROXY_CONNECTION_GONE', `the connection of a ${frame.name} is gone`)
  }

  #sending(frame: Frame): void {
    if (frame.direction === 'request') this.#conversation.sent(frame)
  }

  /** Whatever ends one way ends the connection. What we did ourselves, and a peer that has gone, is no failure of the proxy. */
  #fail(error: unknown): void {
    if (this.#ended.signal.aborted || this.#severed) return
    this.cut()
    if (error instanceof ProxyError && error.code !== 'PROXY_CONNECTION_GONE') this.#parts.onFailure(error)
  }
}

const unreachable = ({ upstream }: ConnectionParts, cause: unknown): ProxyError =>
  new ProxyError('PROXY_UPSTREAM_UNREACHABLE', `nobody listens on port ${upstream.port}`, { cause })
