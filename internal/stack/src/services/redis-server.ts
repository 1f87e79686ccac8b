/** One Redis server in a folder of its own, which acknowledges nothing that it has not written to disk unless told otherwise. */
import { mkdir, rm } from 'node:fs/promises'
import { freePort } from '../free-port.js'
import type { Say } from '../progress.js'
import { ServiceProcess } from '../service-process.js'
import { findProgram, type DebianProgram } from './debian-program.js'
import path from 'node:path'

export interface RedisServerOptions {
  readonly directory: string
  /** A free one unless given: for a server that comes back. */
  readonly port?: number
  /** Of redis.conf. */
  readonly settings?: Readonly<Record<string, string>>
  readonly say: Say
  readonly signal?: AbortSignal | undefined
}

export interface RedisServer {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Sends `signal` and waits for the end; the files stay. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Ends the server without saving anything, and deletes its files. */
  destroy(): Promise<void>
}

const program: DebianProgram = {
  command: 'redis-server',
  file: ['usr', 'bin', 'redis-server'],
  packages: [
    'redis-server',
    'redis-tools',
    'libjemalloc2',
    'liblua5.1-0',
    'liblzf1',
    'libatomic1',
    'lua-bitop',
    'lua-cjson',
  ],
  missing: 'STACK_REDIS_MISSING',
}

const durable = { appendonly: 'yes', appendfsync: 'always', save: '' }

const ready = /Ready to accept connections/

/** Starts Redis, on what its folder holds. */
export const startRedisServer = async ({
  directory,
  port: givenPort,
  settings = {},
  say,
  signal,
}: RedisServerOptions): Promise<RedisServer> => {
  const [found, port] = await Promise.all([
    findProgram(program, say, signal),
    givenPort ?? freePort(),
    mkdir(directory, { recursive: true }),
  ])
  const all = { port: String(port), bind: '127.0.0.1', dir: directory, ...durable, ...settings }
  const running = await ServiceProcess.start({
    name: 'redis',
    command: found.command,
    arguments: Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]),
    environment: found.environment,
    directory,
    logFile: path.join(directory, 'redis.log'),
    ready,
    lifeline: 'group',
    signal,
  })
  say(`ready on port ${port}`)
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    pid: running.pid,
    end: (how) => running.end(how),
    destroy: async () => {
      await running.end('SIGKILL')
      await rm(directory, { recursive: true, force: true })
    },
  }
}
