/** One of Apache Kafka's own command line tools. */
import { AuditError } from './audit-error.js'
import { ToolHost } from './tool-host.js'

export interface ApacheTool {
  /** What goes after `java -cp`: the jars of kafka_2.13 and kafka-tools. */
  readonly classpath: string
  readonly mainClass: string
  readonly arguments: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/** A tool at work: `end()` asks it to finish what it has begun to write and to leave. */
export interface RunningApacheTool {
  end(): void
  /** Everything it wrote to standard output. Rejects when it ended badly without having been asked to. */
  readonly output: Promise<Buffer>
}

const hosts = new Map<string, ToolHost>()

/** Starts a tool. When `signal` is aborted it is asked to end, and its output rejects at once. */
export function startApacheTool({
  classpath,
  mainClass,
  arguments: toolArguments,
  signal,
}: ApacheTool): RunningApacheTool {
  let host = hosts.get(classpath)
  if (host === undefined) hosts.set(classpath, (host = new ToolHost(classpath)))
  const { output, end } = host.run(mainClass, toolArguments)
  if (signal === undefined) return { end, output }
  const givenUp = (): AuditError => new AuditError(`${mainClass} was given up`, { cause: signal.reason })
  return { end, output: untilAborted(output, end, signal, givenUp) }
}

async function untilAborted(
  output: Promise<Buffer>,
  end: () => void,
  signal: AbortSignal,
  givenUp: () => AuditError,
): Promise<Buffer> {
  const settled = new AbortController()
  try {
    return await Promise.race([
      output,
      new Promise<never>((_, reject) => {
        const abort = (): void => {
          end()
          reject(givenUp())
        }
        if (signal.aborted) abort()
        else signal.addEventListener('abort', abort, { once: true, signal: settled.signal })
      }),
    ])
  } finally {
    settled.abort()
    output.catch(() => undefined) // nobody else may be left who listens
  }
}
