/** A stack as its users see it, whoever started it. */
import type { StackAddresses } from './environment.js'
import { StackError } from './stack-error.js'

/** Where the services are. A service that the stack does not have throws a {@link StackError} when it is read. */
export interface RunningStack {
  readonly postgres: { readonly url: string; readonly port: number }
  /** `classpath` goes after `java -cp`, to run Apache's own tools. */
  readonly kafka: { readonly brokers: readonly string[]; readonly classpath: string }
  readonly redis: { readonly url: string }
  /** The same as plain text, to hand on to another process. */
  readonly addresses: StackAddresses
}

const absent = (name: string): StackError =>
  new StackError('STACK_NOT_SHARED', `there is no ${name} in this stack`)

/** Reads addresses as a stack. */
export const asRunningStack = (addresses: StackAddresses): RunningStack => ({
  addresses,
  get postgres() {
    if (addresses.postgres === undefined) throw absent('postgres')
    return addresses.postgres
  },
  get kafka() {
    const { kafka } = addresses
    if (kafka === undefined) throw absent('kafka')
    return {
      brokers: kafka.brokers,
      get classpath() {
        if (kafka.classpath !== undefined) return kafka.classpath
        const remedy = "install Java and Maven, or set ONCEBOX_STACK_KAFKA_CLASSPATH to Kafka's libs/*"
        throw new StackError('STACK_JAVA_MISSING', "Kafka's tools are not on this machine", { remedy })
      },
    }
  },
  get redis() {
    if (addresses.redis === undefined) throw absent('redis')
    return addresses.redis
  },
})
