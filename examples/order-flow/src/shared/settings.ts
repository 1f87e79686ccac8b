/** What a process of the order flow is told by its environment. */
export interface Settings {
  /** The database of this one service. */
  readonly databaseUrl: string
  readonly brokers: readonly string[]
}

/** Reads DATABASE_URL and KAFKA_BROKERS; says which one is missing. */
export function readSettings(): Settings {
  return { databaseUrl: required('DATABASE_URL'), brokers: required('KAFKA_BROKERS').split(',') }
}

/** A variable that must be set. */
export function required(name: string): string {
  const value = process.env[name]
  if (value === undefined || value === '')
    throw new Error(
      `set the environment variable ${name}; \`pnpm demo\` does so for every process that it starts`,
    )
  return value
}
