import { OutboxError } from '@oncebox/core'

export function whole(
  option: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d{1,16}$/.test(text) && value >= min && value <= max) return value
  throw new OutboxError('CLI_USAGE', `${option} ${text}: it must be a whole number from ${min} to ${max}`)
}

/** As text where it is UTF-8, else as base64. */
export function payloadOf({
  payload,
}: {
  readonly payload: Buffer | null
}): { payload: string | null } | { payloadBase64: string; payload: null } {
  if (payload === null) return { payload: null }
  const text = payload.toString('utf8')
  return Buffer.from(text, 'utf8').equals(payload)
    ? { payload: text }
    : { payloadBase64: payload.toString('base64'), payload: null }
}

/** What a terminal would take as a command is shown as an escape. */
export const printable = (text: string): string =>
  text.replaceAll(/[\p{Cc}\p{Cf}]/gu, (character) => JSON.stringify(character).slice(1, -1))

export const print = (line: string): void => void process.stdout.write(`${line}\n`)
