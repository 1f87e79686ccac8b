import { OutboxError } from '@oncebox/core'
import { apiVersions, type ApiVersionsAnswer } from './api-versions.js'
import { createTopics } from './create-topics.js'
import { describeConfigs } from './describe-configs.js'
import { describeProducers } from './describe-producers.js'
import { endTxn } from './end-txn.js'
import { describeCode } from './error-codes.js'
import { fetch } from './fetch.js'
import { findCoordinator } from './find-coordinator.js'
import { initProducerId } from './init-producer-id.js'
import { listOffsets } from './list-offsets.js'
import { metadata } from './metadata.js'
import { produce } from './produce.js'

const required = [
  createTopics,
  describeConfigs,
  describeProducers,
  endTxn,
  fetch,
  findCoordinator,
  initProducerId,
  listOffsets,
  metadata,
  produce,
] as const

const transactionVersion = 2

/**
 * Refuses a broker that does not speak the versions used here, or whose cluster has not finalized transactions v2
 * (KIP-890). Under v1 a late EndTxn can end the next transaction: an acknowledged one lost half its records (KAFKA-17754).
 *
 * @throws OutboxError KAFKA_UNSUPPORTED
 */
export function requireSupport(answer: ApiVersionsAnswer, broker: string): void {
  if (answer.errorCode !== 0) {
    throw unsupported(
      broker,
      `answers ${apiVersions.name} ${apiVersions.version} with ${describeCode(answer.errorCode)}`,
    )
  }
  for (const api of required) {
    const versions = answer.versions.get(api.key)
    if (versions === undefined || versions.min > api.version || versions.max < api.version) {
      const range = versions === undefined ? 'not at all' : `${versions.min} to ${versions.max}`
      throw unsupported(broker, `speaks ${api.name} ${range}, version ${api.version} is needed`)
    }
  }
  const level = answer.features.get('transaction.version') ?? 0
  if (level < transactionVersion)
    throw unsupported(broker, `its cluster has transaction.version ${level}, ${transactionVersion} is needed`)
}

const unsupported = (broker: string, why: string): OutboxError =>
  new OutboxError('KAFKA_UNSUPPORTED', `broker ${broker} ${why}`)
