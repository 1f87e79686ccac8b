import { errorCode } from './error-codes.js'

/**
 * What an error of the broker means for a transactional producer, after KIP-1050. `retriable` and `refresh-retriable`
 * (after new metadata) are repeated inside the session as long as nothing was appended; `abortable`: abort, and publish
 * again; `application-recoverable`: open a new session and read the position; `invalid-configuration`: a person has to
 * change something; `fatal`: everything else, codes that this version does not know included.
 *
 * @see https://cwiki.apache.org/confluence/display/KAFKA/KIP-1050%3A+Consistent+error+handling+for+Transactions
 */
export type FailureClass =
  | 'retriable'
  | 'refresh-retriable'
  | 'abortable'
  | 'application-recoverable'
  | 'invalid-configuration'
  | 'fatal'

// As the exception classes of Apache's client are arranged; an integration test compares both.
const classes: Readonly<Record<Exclude<FailureClass, 'fatal'>, readonly (keyof typeof errorCode)[]>> = {
  retriable: [
    'CORRUPT_MESSAGE',
    'REQUEST_TIMED_OUT',
    'COORDINATOR_LOAD_IN_PROGRESS',
    'NOT_ENOUGH_REPLICAS',
    'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    'NOT_CONTROLLER',
    'CONCURRENT_TRANSACTIONS',
    'FETCH_SESSION_ID_NOT_FOUND',
    'INVALID_FETCH_SESSION_EPOCH',
    'UNKNOWN_LEADER_EPOCH',
    'OFFSET_NOT_AVAILABLE',
    'UNSTABLE_OFFSET_COMMIT',
    'THROTTLING_QUOTA_EXCEEDED',
    'FETCH_SESSION_TOPIC_ID_ERROR',
    'SHARE_SESSION_NOT_FOUND',
    'INVALID_SHARE_SESSION_EPOCH',
    'SHARE_SESSION_LIMIT_REACHED',
  ],
  'refresh-retriable': [
    'UNKNOWN_TOPIC_OR_PARTITION',
    'LEADER_NOT_AVAILABLE',
    'NOT_LEADER_OR_FOLLOWER',
    'REPLICA_NOT_AVAILABLE',
    'NETWORK_EXCEPTION',
    'COORDINATOR_NOT_AVAILABLE',
    'NOT_COORDINATOR',
    'KAFKA_STORAGE_ERROR',
    'LISTENER_NOT_FOUND',
    'FENCED_LEADER_EPOCH',
    'PREFERRED_LEADER_NOT_AVAILABLE',
    'ELIGIBLE_LEADERS_NOT_AVAILABLE',
    'ELECTION_NOT_NEEDED',
    'UNKNOWN_TOPIC_ID',
    'INCONSISTENT_TOPIC_ID',
  ],
  abortable: ['TRANSACTION_ABORTABLE'],
  'application-recoverable': [
    'ILLEGAL_GENERATION',
    'UNKNOWN_MEMBER_ID',
    'INVALID_PRODUCER_EPOCH',
    'INVALID_PRODUCER_ID_MAPPING',
    'FENCED_INSTANCE_ID',
    'PRODUCER_FENCED',
  ],
  'invalid-configuration': [
    'INVALID_TOPIC_EXCEPTION',
    'RECORD_LIST_TOO_LARGE',
    'INVALID_REQUIRED_ACKS',
    'TOPIC_AUTHORIZATION_FAILED',
    'GROUP_AUTHORIZATION_FAILED',
    'CLUSTER_AUTHORIZATION_FAILED',
    'UNSUPPORTED_SASL_MECHANISM',
    'ILLEGAL_SASL_STATE',
    'UNSUPPORTED_VERSION',
    'INVALID_REPLICATION_FACTOR',
    'INVALID_CONFIG',
    'UNSUPPORTED_FOR_MESSAGE_FORMAT',
    'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
    'SASL_AUTHENTICATION_FAILED',
    'DELEGATION_TOKEN_AUTHORIZATION_FAILED',
    'INVALID_RECORD',
  ],
}

const byCode = new Map<number, FailureClass>()
for (const [failureClass, names] of Object.entries(classes)) {
  // Object.entries widens the keys of a record to string.
  for (const name of names) byCode.set(errorCode[name], failureClass as FailureClass)
}

/** The class of one of Kafka's error codes. Total: what nobody has classified is fatal. */
export const failureClassOf = (code: number): FailureClass => byCode.get(code) ?? 'fatal'
