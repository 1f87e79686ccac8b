/** The conformance suite as a library: for its own tests. */
export type { Case } from './case.js'
export { cases } from './cases/index.js'
export type { Client } from './client.js'
export { clientSources } from './clients/index.js'
export { kafkaVersions, startGround, type Ground, type Nodes } from './ground/ground.js'
export { play } from './play.js'
export type { Verdict } from './verdict.js'
