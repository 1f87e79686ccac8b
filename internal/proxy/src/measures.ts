/** The two ends that need no grammar: after so many bytes, and never. */
import type { Measure } from './framing.js'

export function sized(bytes: number): Measure {
  let left = bytes
  return {
    end(piece) {
      if (piece.length >= left) return left
      left -= piece.length
      return -1
    },
  }
}

export const endless: Measure = { end: () => -1 }
