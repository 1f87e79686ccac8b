/** One Redis server in a folder of its own, which acknowledges nothing that it has not written to disk. */
import { mkdir, rm } from 'node:fs/promises'
import { freePort } from '../free-port.js'
import type { Say } from '../progress.js'
import { ServiceProcess } from '../service-process.js'
import { findProgram, type DebianProgram } from './debian-program.js'
import path from 'node:path'

export interface RedisServerOptions {
  readonly directory: string
  readonly say: Say
  readonly signal?: AbortSignal | undefined
}

export interface RedisServer {
  readonly url: string
  readonly pid: number
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

const ready = /Ready to accept connections/

/** Starts Redis on a free port. */
export const startRedisServer = async ({
  directory,
  say,
  signal,
}: RedisServerOptions): Promise<RedisServer> => {
  const [found, port] = await Promise.all([
    findProgram(program, say, signal),
    freePort(),
    mkdir(directory, { recursive: true }),
  ])
  const network = ['--port', String(port), '--bind', '127.0.0.1']
  const durability = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--dir', directory]
  const running = await ServiceProcess.start({
    name: 'redis',
    command: found.command,
    arguments: [...network, ...durability],
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
    pid: running.pid,
    destroy: async () => {
      await running.end('SIGKILL')
      await rm(directory, { recursive: true, force: true })
    },
  }
}
