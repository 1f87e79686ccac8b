const decoder = new TextDecoder()

/** Bytes as text, as PostgreSQL can store it: its text and jsonb hold every character but NUL. */
export const text = (bytes: Uint8Array): string => storable(decoder.decode(bytes))

/** Without NUL, and no longer than `lengthMax`. */
export function storable(value: string, lengthMax = Number.POSITIVE_INFINITY): string {
  return value.replaceAll('\u0000', '\uFFFD').slice(0, lengthMax)
}

/** No longer than `lengthMax`, and well-formed: what is cut inside a pair of surrogates is no text for jsonb. */
export const bounded = (value: string, lengthMax: number): string =>
  Buffer.from(storable(value, lengthMax)).toString()
