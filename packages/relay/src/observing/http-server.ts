import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ServiceState } from '@oncebox/core'
import type { RelayMetrics } from './relay-metrics.js'
import type { UnreadyReason } from './readiness.js'

/**
 * `/metrics` for Prometheus, `/readyz` and `/healthz` for an orchestrator, on the loopback interface unless told otherwise.
 */
export interface RelayHttpServer extends AsyncDisposable {
  readonly url: string
}

/** What is served. */
export interface Served {
  readonly state: () => ServiceState
  /** Why the relay is not ready; empty when it is. */
  readonly unreadyReasons: () => readonly UnreadyReason[]
  /** In Prometheus's text format. */
  readonly metricsText: () => Promise<string>
  readonly metrics: RelayMetrics
}

interface Answer {
  readonly status: number
  readonly contentType: string
  readonly body: string
}

// A relay that neither published nor saw an empty outbox for this long is not doing its work, whatever its process does.
const progressWithinMs = 30_000

export async function startHttpServer(
  options: { host: string; port: number },
  served: Served,
): Promise<RelayHttpServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?', 1)[0]
    answerTo(request.method === 'GET' ? (path ?? '') : '', served).then(
      ({ status, contentType, body }) =>
        response.writeHead(status, { 'content-type': contentType }).end(body),
      () => response.writeHead(500).end(),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  // A TCP server that listens has an address with a port.
  const { port } = server.address() as AddressInfo
  return { url: `http://${options.host}:${port}`, [Symbol.asyncDispose]: async () => await close(server) }
}

async function answerTo(path: string, served: Served): Promise<Answer> {
  switch (path) {
    case '/metrics':
      return {
        status: 200,
        contentType: served.metrics.registry.contentType,
        body: await served.metricsText(),
      }
    case '/readyz':
      return readiness(served)
    case '/healthz':
      return health(served)
    default:
      return { status: 404, contentType: 'text/plain', body: '' }
  }
}

function readiness({ state, unreadyReasons }: Served): Answer {
  const reasons = unreadyReasons()
  return json(reasons.length === 0, { ready: reasons.length === 0, state: state(), reasons })
}

function health({ state, metrics }: Served): Answer {
  const sinceProgressMs = metrics.sinceProgressMs
  const healthy = state() === 'running' && sinceProgressMs !== undefined && sinceProgressMs < progressWithinMs
  return json(healthy, {
    state: state(),
    sinceProgressMs: sinceProgressMs === undefined ? null : Math.round(sinceProgressMs),
  })
}

const json = (isWell: boolean, body: object): Answer => ({
  status: isWell ? 200 : 503,
  contentType: 'application/json',
  body: JSON.stringify(body),
})

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
