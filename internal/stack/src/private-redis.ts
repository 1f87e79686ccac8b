/** A Redis server for one test, which may crash it. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { theLifeline } from './lifeline.js'
import type { Say } from './progress.js'
import { randomName } from './random-name.js'
import { startRedisServer } from './services/redis-server.js'

export interface PrivateRedisOptions {
  /** Of redis.conf. Unless given, everything is on disk before it is answered. */
  readonly settings?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export interface PrivateRedis extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly directory: string
  pid(): number
  /** A clean shutdown. */
  stop(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
  /** On the same port and the same files, with other settings if they are given; resolves when it accepts connections. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>
}

const silent: Say = () => undefined

/** Starts a server of one's own, always embedded; disposing of it deletes its files. */
export const startPrivateRedis = async ({
  settings: firstSettings = {},
  signal,
}: PrivateRedisOptions = {}): Promise<PrivateRedis> => {
  const directory = path.join(theLifeline().runDirectory, randomName('redis'))
  let settings = firstSettings
  let server = await startRedisServer({ directory, settings, say: silent, signal })
  return {
    url: server.url,
    port: server.port,
    directory,
    pid: () => server.pid,
    stop: () => server.end('SIGTERM'),
    kill: () => server.end('SIGKILL'),
    start: async (otherSettings) => {
      settings = otherSettings ?? settings
      server = await startRedisServer({ directory, port: server.port, settings, say: silent, signal })
    },
    [Symbol.asyncDispose]: async () => {
      await server.end('SIGKILL')
      await rm(directory, { recursive: true, force: true })
    },
  }
}
