export { createRelay, type Relay } from './relay.js'
export { defineRelay, type RelayLogger, type RelayOptions } from './options.js'
export { decodePosition, type Position, type WindowName } from './position.js'
export type { Snapshot } from './reading/snapshot.js'
