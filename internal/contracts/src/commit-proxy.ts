/** A proxy in front of PostgreSQL that cuts a connection around its COMMIT: the moments when nobody knows the outcome. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/**
 * `before-forwarding`: the server never sees the COMMIT and rolls back.
 * `before-answer`: the server commits, the client hears nothing.
 * `server-kept`: the client is cut off, the server waits for a COMMIT in an open transaction until `letGo`.
 */
export type CommitCut = 'before-forwarding' | 'before-answer' | 'server-kept'

export interface CommitProxy extends AsyncDisposable {
  /** The same database, through the proxy. */
  readonly url: string
  /** How often it has cut. */
  readonly cuts: number
  /** Cuts at the next COMMIT; the one after it passes. */
  cutNextCommit(cut: CommitCut): void
  /** Closes the server sides that `server-kept` has left open. */
  letGo(): void
}

export async function startCommitProxy(url: string): Promise<CommitProxy> {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  const kept = new Set<Socket>()
  let armed: CommitCut | undefined
  let cuts = 0

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname)
    let cutting: CommitCut | undefined
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined) // a cut connection is what this is for
      socket.on('close', () => sockets.delete(socket))
    }
    client.on('data', (chunk) => {
      if (armed !== undefined && isCommit(chunk)) {
        cutting = armed
        armed = undefined
        cuts += 1
        if (cutting === 'server-kept') kept.add(upstream)
        if (cutting === 'before-forwarding') upstream.destroy()
      }
      if (cutting === undefined || cutting === 'before-answer') upstream.write(chunk)
      else client.destroy()
    })
    upstream.on('data', (chunk) => {
      if (cutting === undefined) client.write(chunk)
      else client.destroy()
    })
    client.on('close', () => (kept.has(upstream) ? undefined : upstream.destroy()))
    upstream.on('close', () => client.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const through = new URL(url)
  through.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: through.href,
    get cuts() {
      return cuts
    },
    cutNextCommit: (cut) => void (armed = cut),
    letGo: () => kept.forEach((socket) => socket.destroy()),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

// The simple query message: Q, four bytes of length, the statement.
const isCommit = (chunk: Buffer): boolean =>
  chunk[0] === 0x51 && /^commit\b/i.test(chunk.toString('latin1', 5, 12))
