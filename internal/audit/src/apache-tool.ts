/** One of Apache Kafka's own command line tools. */
import { AuditError } from './audit-error.js'
import { hasCompiler, startJava, type RunningJava } from './java-program.js'
import { ToolHost } from './tool-host.js'

export interface ApacheTool {
  /** What goes after `java -cp`: the jars of kafka_2.13 and kafka-tools. */
  readonly classpath: string
  readonly mainClass: string
  readonly arguments: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/** Starts a tool. When `signal` is aborted it is asked to end, and its output rejects at once. */
export function startApacheTool(tool: ApacheTool): RunningJava {
  let running: RunningJava | undefined
  let asked = false
  const end = (): void => {
    asked = true
    running?.end()
  }
  const begin = async (): Promise<Buffer> => {
    running = await start(tool)
    if (asked) running.end()
    return await running.output
  }
  return { end, output: untilAborted(tool, begin(), end) }
}

const hosts = new Map<string, ToolHost>()

/** In the JVM that runs all of them; where its program cannot be compiled, in one of its own, which is slower. */
async function start({ classpath, mainClass, arguments: toolArguments }: ApacheTool): Promise<RunningJava> {
  if (!(await hasCompiler())) return startJava([classpath], [mainClass, ...toolArguments])
  let host = hosts.get(classpath)
  if (host === undefined) hosts.set(classpath, (host = new ToolHost(classpath)))
  return host.run(mainClass, toolArguments)
}

async function untilAborted(
  { mainClass, signal }: ApacheTool,
  output: Promise<Buffer>,
  end: () => void,
): Promise<Buffer> {
  if (signal === undefined) return await output
  const settled = new AbortController()
  try {
    return await Promise.race([
      output,
      new Promise<never>((_, reject) => {
        const abort = (): void => {
          end()
          reject(new AuditError(`${mainClass} was given up`, { cause: signal.reason }))
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
