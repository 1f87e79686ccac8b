import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ServiceState } from '@oncebox/core'
import type { RelayMetrics } from './relay-metrics.js'

/** `/metrics` for Prometheus and `/healthz` for an orchestrator, on the loopback interface unless told otherwise. */
export interface RelayHttpServer extends AsyncDisposable {
  readonly url: string
}

// A relay that neither published nor saw an empty outbox for this long is not doing its work, whatever its process does.
const progressWithinMs = 30_000

export async function startHttpServer(
  options: { host: string; port: number },
  state: () => ServiceState,
  metrics: RelayMetrics,
): Promise<RelayHttpServer> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?', 1)[0]
    if (request.method !== 'GET' || (path !== '/metrics' && path !== '/healthz')) {
      response.writeHead(404).end()
      return
    }
    if (path === '/healthz') {
      const { healthy, body } = health(state(), metrics)
      response
        .writeHead(healthy ? 200 : 503, { 'content-type': 'application/json' })
        .end(JSON.stringify(body))
      return
    }
    metrics.registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': metrics.registry.contentType }).end(text),
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

function health(state: ServiceState, metrics: RelayMetrics): { healthy: boolean; body: object } {
  const sinceProgressMs = metrics.sinceProgressMs
  const healthy = state === 'running' && sinceProgressMs !== undefined && sinceProgressMs < progressWithinMs
  return {
    healthy,
    body: { state, sinceProgressMs: sinceProgressMs === undefined ? null : Math.round(sinceProgressMs) },
  }
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
