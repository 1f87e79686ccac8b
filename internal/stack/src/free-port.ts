import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

// Below Linux's and macOS's range for outgoing connections (32768 and 49152 up): the kernel cannot hand such a port
// to somebody's client socket between this check and the service's bind, nor while a private server is down for a restart.
const lowest = 20_000
const highest = 32_000
const attemptsMax = 50

// A port is handed out once per process: a cluster's nodes get theirs before any of them listens, and a server that is
// down for a restart finds its own free.
const handedOut = new Set<number>()

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })

/** A port on the loopback address that nobody listens on. Two processes can draw the same one, about once in 12,000. */
export const freePort = async (): Promise<number> => {
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const port = randomInt(lowest, highest)
    if (handedOut.has(port)) continue
    handedOut.add(port)
    if (await isFree(port)) return port
  }
  throw new Error(`no free port between ${lowest} and ${highest} in ${attemptsMax} tries`)
}
