/** Every way in which the stack can fail to start, each with the next step for the person who reads it. */

const defaultRemedies = {
  STACK_NOT_SHARED:
    'run the tests through the vitest project `int`, or run `pnpm stack up` and set the variables that it prints',
  STACK_JAVA_MISSING: 'install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)',
  STACK_MAVEN_MISSING: 'install Maven (Debian: apt-get install maven)',
  STACK_REDIS_MISSING: 'install redis-server',
  STACK_PGBOUNCER_MISSING: 'install pgbouncer (Debian: apt-get install pgbouncer)',
  STACK_POSTGRES_TOOLS_MISSING: 'install PostgreSQL with its tools (Debian: apt-get install postgresql)',
  STACK_PLATFORM_UNSUPPORTED: 'use Linux or macOS on x64 or arm64',
  STACK_USER_MISSING: 'add a user named postgres (useradd --system postgres), or do not run as root',
  STACK_DOWNLOAD_FAILED: 'check the network and try again',
  STACK_SERVICE_FAILED: 'read the end of its log above',
  STACK_START_TIMEOUT: 'check that the machine is not overloaded and try again',
  STACK_SUPERVISOR_FAILED: 'run `pnpm stack down`, then try again',
} as const

/** The codes of {@link StackError}. */
export type StackErrorCode = keyof typeof defaultRemedies

/** A failure of the stack: what happened in `message`, the exact next step in `remedy`. */
export class StackError extends Error {
  override readonly name = 'StackError'
  readonly code: StackErrorCode
  readonly remedy: string

  constructor(code: StackErrorCode, message: string, options: { cause?: unknown; remedy?: string } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.remedy = options.remedy ?? defaultRemedies[code]
  }

  /** What happened and what to do, as the command line prints it. */
  get sentence(): string {
    return `${this.message}: ${this.remedy}`
  }

  /** Looks at the code, so that two installed copies agree. */
  static is(error: unknown, code?: StackErrorCode): error is StackError {
    if (!(error instanceof Error) || error.name !== 'StackError' || !('code' in error)) return false
    return code === undefined || error.code === code
  }
}
