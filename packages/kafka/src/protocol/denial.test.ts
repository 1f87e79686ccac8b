import { describe, expect, test } from 'vitest'
import { denialOf } from './denial.js'
import { describeProducers } from './describe-producers.js'
import { errorCode } from './error-codes.js'
import { listOffsets } from './list-offsets.js'
import { txnOffsetCommit } from './txn-offset-commit.js'

const names = { topic: 'orders', group: 'billing', 'transactional-id': 'shard:a' }

describe('a refusal of an authorizer', () => {
  test.each([
    [errorCode.TOPIC_AUTHORIZATION_FAILED, 'Read', 'topic', 'orders'],
    [errorCode.GROUP_AUTHORIZATION_FAILED, 'Read', 'group', 'billing'],
    [errorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 'Write', 'transactional-id', 'shard:a'],
  ])('%i names the operation that the request needs on the resource', (code, operation, type, name) => {
    const denial = denialOf('committing offsets', txnOffsetCommit[2], code, names, { partition: 3 })
    expect(denial?.details).toEqual({
      partition: 3,
      code,
      operation,
      resourceType: type,
      resourceName: name,
    })
    expect(denial?.message).toContain(`lacks the ACL ${operation} on ${type} ${name}`)
  })

  test('says of Describe that others include it', () => {
    const denial = denialOf('reading', listOffsets, errorCode.TOPIC_AUTHORIZATION_FAILED, names)
    expect(denial?.message).toContain('Describe (Read and Write include it) on topic orders')
  })

  test('of the cluster names the cluster', () => {
    const denial = denialOf('looking', describeProducers, errorCode.CLUSTER_AUTHORIZATION_FAILED, names)
    expect(denial?.details).toMatchObject({ resourceType: 'cluster', resourceName: 'kafka-cluster' })
  })

  test('is not any other code', () => {
    for (const code of Object.values(errorCode)) {
      const isDenial = denialOf('any', txnOffsetCommit[2], code, names) !== undefined
      expect(isDenial).toBe([29, 30, 31, 53].includes(code))
    }
  })
})
