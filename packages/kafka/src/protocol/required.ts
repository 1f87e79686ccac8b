import { OutboxError } from '@oncebox/core'
import { addOffsetsToTxn } from './add-offsets-to-txn.js'
import { addPartitionsToTxn } from './add-partitions-to-txn.js'
import { apiVersions, type ApiVersionsAnswer } from './api-versions.js'
import { createPartitions } from './create-partitions.js'
import { createTopics } from './create-topics.js'
import { describeConfigs } from './describe-configs.js'
import { describeProducers } from './describe-producers.js'
import { describeTransactions } from './describe-transactions.js'
import { endTxn } from './end-txn.js'
import { describeCode } from './error-codes.js'
import { fetch } from './fetch.js'
import { findCoordinator } from './find-coordinator.js'
import { heartbeat } from './heartbeat.js'
import { initProducerId } from './init-producer-id.js'
import { joinGroup } from './join-group.js'
import { leaveGroup } from './leave-group.js'
import { listOffsets } from './list-offsets.js'
import { metadata } from './metadata.js'
import { offsetCommit } from './offset-commit.js'
import { offsetFetch } from './offset-fetch.js'
import { produce } from './produce.js'
import { syncGroup } from './sync-group.js'
import { transactionVersionOf, type TransactionVersion } from './transaction-version.js'
import { txnOffsetCommit } from './txn-offset-commit.js'

const always = [
  createPartitions,
  createTopics,
  describeConfigs,
  describeProducers,
  describeTransactions,
  fetch,
  findCoordinator,
  heartbeat,
  initProducerId,
  joinGroup,
  leaveGroup,
  listOffsets,
  metadata,
  offsetCommit,
  offsetFetch,
  syncGroup,
] as const

const inTransactions = {
  1: [addOffsetsToTxn, addPartitionsToTxn, endTxn[1], produce[1], txnOffsetCommit[1]],
  2: [endTxn[2], produce[2], txnOffsetCommit[2]],
} as const

/**
 * Refuses a broker that does not speak the versions used here. All of transactions version 1 is asked for even where
 * version 2 is finalized, since an operator can go back to it while sessions are open.
 *
 * @returns the version in which transactions are run on its cluster now
 * @throws OutboxError KAFKA_UNSUPPORTED
 */
export function requireSupport(answer: ApiVersionsAnswer, broker: string): TransactionVersion {
  if (answer.errorCode !== 0) {
    throw unsupported(
      broker,
      `answers ${apiVersions.name} ${apiVersions.version} with ${describeCode(answer.errorCode)}`,
    )
  }
  const transactionVersion = transactionVersionOf(answer.features)
  for (const api of [
    ...always,
    ...inTransactions[1],
    ...(transactionVersion === 2 ? inTransactions[2] : []),
  ]) {
    const versions = answer.versions.get(api.key)
    if (versions === undefined || versions.min > api.version || versions.max < api.version) {
      const range = versions === undefined ? 'not at all' : `${versions.min} to ${versions.max}`
      throw unsupported(broker, `speaks ${api.name} ${range}, version ${api.version} is needed`)
    }
  }
  return transactionVersion
}

const unsupported = (broker: string, why: string): OutboxError =>
  new OutboxError('KAFKA_UNSUPPORTED', `broker ${broker} ${why}`)
