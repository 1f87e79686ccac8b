import type { Result } from '../result.js'
import { wordOf } from './words.js'

/** One line a case on standard error; in a terminal also what is being played. */
export class ProgressLines {
  readonly #out: NodeJS.WriteStream
  readonly #width: number

  constructor(out: NodeJS.WriteStream, widest: readonly string[]) {
    this.#out = out
    this.#width = Math.max(...widest.map(({ length }) => length))
  }

  start({ kafka, client, case: name }: Omit<Result, 'verdict' | 'seconds'>): void {
    if (this.#out.isTTY) this.#out.write(`Kafka ${kafka}  ${this.#pad(client)}  ${name} ...`)
  }

  end({ kafka, client, case: name, verdict, seconds }: Result): void {
    if (this.#out.isTTY) this.#out.write('\r\u001b[K')
    const sentence = verdict.sentence === undefined ? '' : `: ${verdict.sentence.replaceAll('\n', ' ')}`
    this.say(
      `Kafka ${kafka}  ${this.#pad(client)}  ${seconds.toFixed(1).padStart(5)} s  ${wordOf(verdict)}  ${name}${sentence}`,
    )
  }

  say(line: string): void {
    this.#out.write(`${line}\n`)
  }

  #pad(client: string): string {
    return client.padEnd(this.#width)
  }
}
