/** The variables by which a stack is handed on: from `pnpm stack up` to a shell, from vitest's set-up to its workers. */

const variables = {
  postgresUrl: 'ONCEBOX_STACK_POSTGRES_URL',
  kafkaBrokers: 'ONCEBOX_STACK_KAFKA_BROKERS',
  kafkaClasspath: 'ONCEBOX_STACK_KAFKA_CLASSPATH',
  redisUrl: 'ONCEBOX_STACK_REDIS_URL',
} as const

/** Where the services of a stack are, as plain text. */
export interface StackAddresses {
  readonly postgres?: { readonly url: string; readonly port: number }
  readonly kafka?: { readonly brokers: readonly string[]; readonly classpath?: string }
  readonly redis?: { readonly url: string }
}

const defaultPostgresPort = 5432

const valueOf = (name: string, environment: NodeJS.ProcessEnv): string | undefined => {
  const value = environment[name]
  return value === undefined || value === '' ? undefined : value
}

/** What the variables name; a service without one is absent. */
export const readAddresses = (environment: NodeJS.ProcessEnv = process.env): StackAddresses => {
  const postgresUrl = valueOf(variables.postgresUrl, environment)
  const brokers = valueOf(variables.kafkaBrokers, environment)
  const classpath = valueOf(variables.kafkaClasspath, environment)
  const redisUrl = valueOf(variables.redisUrl, environment)
  return {
    ...(postgresUrl !== undefined && {
      postgres: { url: postgresUrl, port: Number(new URL(postgresUrl).port || defaultPostgresPort) },
    }),
    ...(brokers !== undefined && {
      kafka: {
        brokers: brokers.split(',').map((broker) => broker.trim()),
        ...(classpath !== undefined && { classpath }),
      },
    }),
    ...(redisUrl !== undefined && { redis: { url: redisUrl } }),
  }
}

/** The variables that name these services, for {@link readAddresses} in another process. */
export const toEnvironment = ({ postgres, kafka, redis }: StackAddresses): Record<string, string> => ({
  ...(postgres !== undefined && { [variables.postgresUrl]: postgres.url }),
  ...(kafka !== undefined && { [variables.kafkaBrokers]: kafka.brokers.join(',') }),
  ...(kafka?.classpath !== undefined && { [variables.kafkaClasspath]: kafka.classpath }),
  ...(redis !== undefined && { [variables.redisUrl]: redis.url }),
})
