/** Certificates for one run, made when they are asked for: nothing secret lies in the repository, and nothing expires with it. */
import { generateKeyPair, randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import { promisify } from 'node:util'
import forge from 'node-forge'

/** PEM, as Node's tls and Kafka's stores of type PEM take them. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface CertificateRequest {
  /** The CN: of a client, the name of its principal. */
  readonly commonName: string
  /** The names and addresses at which a server may be reached. */
  readonly hosts?: readonly string[]
  /** Ended yesterday. */
  readonly expired?: boolean
}

interface Keys {
  readonly publicKey: string
  readonly privateKey: string
}

const dayMs = 24 * 3600 * 1000
const [dns, ip] = [2, 7] // kinds of a subject's alternative name

const newKeys = (): Promise<Keys> =>
  promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })

const blank = (keys: Keys, commonName: string, expired: boolean): forge.pki.Certificate => {
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = forge.pki.publicKeyFromPem(keys.publicKey)
  certificate.serialNumber = `01${randomBytes(15).toString('hex')}` // positive, and nobody else's
  certificate.validity.notBefore = new Date(Date.now() - 2 * dayMs)
  certificate.validity.notAfter = new Date(Date.now() + (expired ? -dayMs : dayMs))
  certificate.setSubject([{ name: 'commonName', value: commonName }])
  return certificate
}

const sign = (certificate: forge.pki.Certificate, { privateKey }: Keys): string => {
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create())
  return forge.pki.certificateToPem(certificate)
}

export class CertificateAuthority {
  /** What whoever trusts it is given. */
  readonly pem: string
  readonly #keys: Keys
  readonly #name: string

  private constructor(name: string, keys: Keys, pem: string) {
    this.pem = pem
    this.#keys = keys
    this.#name = name
  }

  static async create(name: string): Promise<CertificateAuthority> {
    const keys = await newKeys()
    const certificate = blank(keys, name, false)
    certificate.setIssuer(certificate.subject.attributes)
    certificate.setExtensions([
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, critical: true },
    ])
    return new CertificateAuthority(name, keys, sign(certificate, keys))
  }

  async issue({ commonName, hosts = [], expired = false }: CertificateRequest): Promise<Certificate> {
    const keys = await newKeys()
    const certificate = blank(keys, commonName, expired)
    certificate.setIssuer([{ name: 'commonName', value: this.#name }])
    const altNames = hosts.map((host) =>
      isIP(host) === 0 ? { type: dns, value: host } : { type: ip, ip: host },
    )
    certificate.setExtensions([
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      ...(altNames.length === 0 ? [] : [{ name: 'subjectAltName', altNames }]),
    ])
    return { cert: sign(certificate, this.#keys), key: keys.privateKey }
  }
}
