import type { HeaderBag } from '@oncebox/core'

/** A header value in jsonb: text where it is text, else base64. */
export type HeaderCopy = string | { readonly base64: string }

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** All headers with all values, byte for byte, in a form that jsonb holds (it has no NUL) and people can read. */
export function copyHeaders(headers: HeaderBag): Record<string, HeaderCopy[]> {
  const copies: Record<string, HeaderCopy[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    const values = typeof value === 'string' || value instanceof Uint8Array ? [value] : value
    copies[name.replaceAll('\u0000', '\uFFFD')] = values.map(copyBytes)
  }
  return copies
}

export function readHeaderCopies(copies: Readonly<Record<string, readonly HeaderCopy[]>>): HeaderBag {
  return Object.fromEntries(Object.entries(copies).map(([name, values]) => [name, values.map(readBytes)]))
}

export function copyBytes(value: Uint8Array | string): HeaderCopy {
  const bytes = Buffer.from(value)
  if (!bytes.includes(0)) {
    try {
      return strict.decode(bytes)
    } catch {
      // Not UTF-8: kept as bytes below.
    }
  }
  return { base64: bytes.toString('base64') }
}

export const readBytes = (copy: HeaderCopy): Buffer =>
  typeof copy === 'string' ? Buffer.from(copy, 'utf8') : Buffer.from(copy.base64, 'base64')
