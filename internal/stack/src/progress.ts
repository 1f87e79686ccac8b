/** What the stack is doing, for the person who waits: a first start downloads, and silence looks like a hang. */

/** Receives one line per step, e.g. `('kafka', 'downloading Apache Kafka 4.3.1 ...', 1200)`. */
export type Progress = (part: string, text: string, elapsedMs: number) => void

/** Plain lines on standard error, the same on a terminal and in a pipe. */
export const progressToStderr: Progress = (part, text, elapsedMs) => {
  process.stderr.write(`${part}: ${text} (${(elapsedMs / 1000).toFixed(1)} s)\n`)
}

/** Says one step of one part of the stack. */
export type Say = (text: string) => void

/** A {@link Say} for one part, counting seconds from now. */
export const sayFor = (progress: Progress, part: string): Say => {
  const startedAt = performance.now()
  return (text) => progress(part, text, performance.now() - startedAt)
}
