/** The proxy: one port on the loopback address in front of one server. */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import type { Action, KeepingAction, PassingAction } from './action.js'
import { Connection } from './connection.js'
import type { Protocol } from './framing.js'
import { framingOf } from './framings/framing-of.js'
import type { HeldFrame } from './held-frame.js'
import type { ProxyError } from './proxy-error.js'
import type { Match, Rule } from './rule.js'
import { Rules } from './rules.js'
import type { Upstream } from './upstream.js'
import { Weather } from './weather.js'

export interface StartProxyOptions {
  readonly protocol: Protocol
  /** Need not listen yet: it is connected to for each client. */
  readonly upstream: Upstream
}

export interface Proxy extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** Why connections were cut without being asked for, the last hundred. */
  readonly failures: readonly ProxyError[]
  /** Adds a rule. A frame belongs to the first rule that wants it; without one it passes, byte for byte. */
  on(match: Match, action: KeepingAction): Rule<HeldFrame>
  on(match: Match, action: PassingAction): Rule
  /** Removes every rule: from now on all frames pass. */
  removeRules(): void
  /** From now on nothing gets through, either way, and nobody is told. Connections are still accepted. */
  blackhole(): void
  /** Lets everything through that has waited. */
  heal(): void
  /** Every chunk, either way, takes so long; 0 to end it. Chunks wait one after another, so large frames become slow. */
  latency(ms: number): void
  /** Resets every connection. New ones are accepted. */
  cutAll(): void
  /** New connections go to another server, as after a failover. Those that are open stay where they are: see cutAll. */
  moveTo(upstream: Upstream): void
}

const failuresMax = 100

/**
 * Starts a proxy that passes everything until a rule is added.
 *
 * @example
 * await using proxy = await startProxy({ protocol: 'kafka', upstream: { host: '127.0.0.1', port: 9092 } })
 * const rule = proxy.on({ request: 'EndTxn' }, 'hold')
 * const frame = await rule.fired
 * await frame.deliver()
 */
export async function startProxy(options: StartProxyOptions): Promise<Proxy> {
  const { protocol } = options
  let { upstream } = options
  const framing = framingOf(protocol)
  const rules = new Rules(framing)
  const weather = new Weather()
  const connections = new Set<Connection>()
  const failures: ProxyError[] = []
  const onFailure = (error: ProxyError): void => {
    if (failures.push(error) > failuresMax) failures.shift()
  }
  const cutAll = (): void => connections.forEach((connection) => connection.cut())

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const connection = new Connection({ client, upstream, framing, rules, weather, onFailure })
    connections.add(connection)
    void connection.run().finally(() => connections.delete(connection))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A server on TCP has an address of this kind while it listens.
  const { port } = server.address() as AddressInfo

  function on(match: Match, action: KeepingAction): Rule<HeldFrame>
  function on(match: Match, action: PassingAction): Rule
  function on(match: Match, action: Action): Rule<HeldFrame> | Rule {
    return rules.add(match, action) // when it keeps frames, what it fires with are held ones
  }
  return {
    host: '127.0.0.1',
    port,
    failures,
    on,
    removeRules: () => rules.removeAll(),
    blackhole: () => weather.blackhole(),
    heal: () => weather.heal(),
    latency: (ms) => weather.setLatency(ms),
    cutAll,
    moveTo: (other) => {
      upstream = other
    },
    async [Symbol.asyncDispose]() {
      rules.removeAll()
      cutAll()
      server.close()
      await once(server, 'close')
    },
  }
}
