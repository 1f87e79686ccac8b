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

export const print = (line: string): void => void process.stdout.write(`${line}\n`)
