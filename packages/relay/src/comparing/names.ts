import { invariant } from '@oncebox/core'

const namesMax = 65_535

/** Numbers for names, in the order in which they were first seen. */
export class Names {
  readonly #numbers = new Map<string, number>()
  readonly #names: string[] = []

  numberOf(name: string): number {
    const known = this.#numbers.get(name)
    if (known !== undefined) return known
    const number = this.#names.length
    invariant(number < namesMax, 'an outbox publishes to fewer topics')
    this.#numbers.set(name, number)
    this.#names.push(name)
    return number
  }

  nameOf(number: number): string {
    const name = this.#names[number]
    invariant(name !== undefined, 'a number is of a name')
    return name
  }

  get all(): readonly string[] {
    return this.#names
  }
}
