/** An OAuth provider as a broker sees it: a set of public keys, and tokens that are signed with one of them. */
import { createSign, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

export interface TokenRequest {
  /** The name of the principal. */
  readonly subject: string
  readonly audience: string
  /** From now; negative for a token that has expired. */
  readonly lifetimeMs: number
}

const keyId = 'test'

/** Who is to have issued a token. */
export const issuerName = 'https://issuer.example'

const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')

export class TokenIssuer {
  /** The JSON Web Key Set, as the provider would serve it. */
  readonly keySet: string
  readonly #privateKey: KeyObject

  private constructor(publicKey: KeyObject, privateKey: KeyObject) {
    const key = { ...publicKey.export({ format: 'jwk' }), kid: keyId, alg: 'RS256', use: 'sig' }
    this.keySet = JSON.stringify({ keys: [key] })
    this.#privateKey = privateKey
  }

  static async create(): Promise<TokenIssuer> {
    const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
    return new TokenIssuer(publicKey, privateKey)
  }

  issue({ subject, audience, lifetimeMs }: TokenRequest): string {
    const nowS = Math.floor(Date.now() / 1000)
    // An expired token was issued before it expired.
    const claims = {
      iss: issuerName,
      sub: subject,
      aud: audience,
      iat: nowS + Math.min(0, Math.floor(lifetimeMs / 1000) - 1),
      exp: nowS + Math.floor(lifetimeMs / 1000),
    }
    const text = `${encoded({ alg: 'RS256', kid: keyId, typ: 'JWT' })}.${encoded(claims)}`
    return `${text}.${createSign('RSA-SHA256').update(text).sign(this.#privateKey, 'base64url')}`
  }
}
