/** Cuts one direction of a connection into frames, whatever chunks it comes in, and keeps no more than their heads. */
import type { Frame } from './frame.js'
import type { Grammar, Measure } from './framing.js'
import { protocolError } from './proxy-error.js'

export type Piece =
  | { readonly kind: 'begin'; readonly frame: Frame }
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'end' }

const headBytesMax = 4_096
const nothing: Buffer = Buffer.alloc(0)

export class Decoder {
  readonly #grammar: Grammar
  #head = nothing
  #measure: Measure | undefined

  constructor(grammar: Grammar) {
    this.#grammar = grammar
  }

  /** The bytes of a frame that is not named yet. Nobody has seen them. */
  get rest(): Buffer {
    return this.#head
  }

  /**
   * Lazy, so that what became of one frame is known when the next one is named.
   * @throws ProxyError PROXY_PROTOCOL
   */
  *push(chunk: Buffer): Generator<Piece, void, void> {
    let bytes = chunk
    while (bytes.length > 0) {
      if (this.#measure === undefined) {
        bytes = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes])
        this.#head = nothing
        const start = this.#grammar.start(bytes)
        if (start === undefined) {
          if (bytes.length > headBytesMax) throw protocolError(`no frame in ${bytes.length} bytes`)
          this.#head = bytes
          return
        }
        this.#measure = start.measure
        yield { kind: 'begin', frame: start.frame }
      }
      const end = this.#measure.end(bytes)
      yield { kind: 'bytes', bytes: end === -1 ? bytes : bytes.subarray(0, end) }
      if (end === -1) return
      this.#measure = undefined
      yield { kind: 'end' }
      bytes = bytes.subarray(end)
    }
  }
}
