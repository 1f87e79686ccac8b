/** What a decoder makes of chunks, frame by frame: for tests of the framings. */
import { Decoder } from '../src/decoder.js'
import type { Grammar } from '../src/framing.js'

export interface DecodedFrame {
  readonly name: string
  readonly text: string
  readonly bytes: Buffer
}

/** The whole frames in these chunks; an unfinished one at their end is left out. */
export function decodeAll(grammar: Grammar, chunks: readonly Buffer[]): DecodedFrame[] {
  const decoder = new Decoder(grammar)
  const frames: DecodedFrame[] = []
  let name = ''
  let text = ''
  let bytes: Buffer[] = []
  for (const piece of chunks.flatMap((chunk) => [...decoder.push(chunk)])) {
    if (piece.kind === 'begin') ({ name, text } = piece.frame)
    else if (piece.kind === 'bytes') bytes.push(piece.bytes)
    else {
      frames.push({ name, text, bytes: Buffer.concat(bytes) })
      bytes = []
    }
  }
  return frames
}

/** The stream in chunks of these sizes, over and over. */
export function chunksOf(stream: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  let at = 0
  for (let index = 0; at < stream.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1
    chunks.push(stream.subarray(at, at + size))
    at += size
  }
  return chunks
}
