/** Real PostgreSQL, Kafka and Redis for tests, demo and benchmarks, with nothing to install by hand. */
export { cached, digest } from './cache.js'
export {
  createDatabase,
  type CreateDatabaseOptions,
  type DatabaseTemplate,
  type TestDatabase,
} from './database.js'
export { readAddresses, toEnvironment, type StackAddresses } from './environment.js'
export { aclCommandsFor, aclsOf } from './kafka-acl-commands.js'
export type { Acl } from './kafka-acls.js'
export {
  startKafkaCluster,
  startPrivateKafka,
  type KafkaCluster,
  type KafkaClusterOptions,
  type PrivateKafka,
  type PrivateKafkaOptions,
} from './kafka-cluster.js'
export type { KafkaNode } from './kafka-node.js'
export {
  startPrivatePostgres,
  type PrivatePostgres,
  type PrivatePostgresOptions,
} from './private-postgres.js'
export { newerNode } from './newer-node.js'
export {
  startPrivatePgBouncer,
  type PrivatePgBouncer,
  type PrivatePgBouncerOptions,
} from './private-pgbouncer.js'
export { startPrivateRedis, type PrivateRedis, type PrivateRedisOptions } from './private-redis.js'
export { progressToStderr, type Progress } from './progress.js'
export { randomName } from './random-name.js'
export { CommandError, runCommand } from './run-command.js'
export { kafkaReleases, type KafkaVersion } from './services/kafka-releases.js'
export type { PostgresRelease } from './services/postgres-server.js'
export type { RunningStack } from './running-stack.js'
export {
  startSecuredKafka,
  type ClientCertificateOptions,
  type KafkaAdministrator,
  type SecuredKafka,
  type SecuredKafkaOptions,
  type SecuredListeners,
  type TokenOptions,
} from './secured-kafka.js'
export { sharedStack } from './shared-stack.js'
export { StackError, type StackErrorCode } from './stack-error.js'
export { startStack, type ServiceName, type Stack, type StartStackOptions } from './stack.js'
export type { Certificate } from './services/certificates.js'
export {
  createNamedTopic,
  createTopic,
  emptyTopic,
  setTopicConfig,
  type CreateTopicOptions,
} from './topic.js'
