const payloadBytes = 256
const keys = 1_000
const mark = '{"n":'

/** Events of 256 bytes that carry their number, over a thousand keys. */
export const payloadOf = (number: number): string =>
  `${`${mark}${number},"filler":"`.padEnd(payloadBytes - 2, 'x')}"}`

export const keyOf = (number: number): string => `key-${number % keys}`

/** The number of an event of this benchmark; undefined for any other record. */
export function numberOf(value: Buffer | null): number | undefined {
  if (value?.toString('latin1', 0, mark.length) !== mark) return undefined
  return Number.parseInt(value.toString('latin1', mark.length, mark.length + 12), 10)
}
