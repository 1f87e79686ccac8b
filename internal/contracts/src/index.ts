/** One test body per port: an adapter that passes it keeps the port's promises. */
export { startCommitProxy, type CommitCut, type CommitProxy } from './commit-proxy.js'
export { databaseContract, type DatabaseAdapter, type DatabaseUnderTest } from './database-contract.js'
