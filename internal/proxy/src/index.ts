/** A fault proxy for tests: it loses, delays, repeats and holds single frames of Kafka, PostgreSQL and Redis. */
export type { Action } from './action.js'
export type { Direction, Frame } from './frame.js'
export type { Protocol } from './framing.js'
export type { HeldFrame } from './held-frame.js'
export { ProxyError, type ProxyErrorCode } from './proxy-error.js'
export { startProxy, type Proxy, type StartProxyOptions } from './proxy.js'
export type { Match, Rule } from './rule.js'
