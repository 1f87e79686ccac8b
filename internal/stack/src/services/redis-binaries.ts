/** The redis-server program: the installed one, else Debian's packages unpacked into the cache, which needs no root. */
import { access } from 'node:fs/promises'
import path from 'node:path'
import { cached } from '../cache.js'
import type { Say } from '../progress.js'
import { isOnPath } from '../program-on-path.js'
import { CommandError } from '../run-command.js'
import { StackError } from '../stack-error.js'
import { libraryPath, unpackPackages } from './debian-packages.js'

export interface RedisProgram {
  readonly command: string
  readonly environment: Readonly<Record<string, string>>
}

const packages = [
  'redis-server',
  'redis-tools',
  'libjemalloc2',
  'liblua5.1-0',
  'liblzf1',
  'libatomic1',
  'lua-bitop',
  'lua-cjson',
]

const unpack = async (directory: string, say: Say, signal: AbortSignal | undefined): Promise<void> => {
  say("downloading Redis from Debian's packages (once) ...")
  try {
    await unpackPackages(directory, packages, signal)
    await access(path.join(directory, 'usr', 'bin', 'redis-server'))
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause
    if (cause.missing)
      throw new StackError('STACK_REDIS_MISSING', 'there is neither `redis-server` nor `apt-get` on PATH', {
        cause,
      })
    throw new StackError('STACK_DOWNLOAD_FAILED', `Redis could not be downloaded\n${cause.output}\n`, {
      cause,
    })
  }
}

/** How to run redis-server here. */
export const redisProgram = async (say: Say, signal?: AbortSignal): Promise<RedisProgram> => {
  if (await isOnPath('redis-server', signal)) return { command: 'redis-server', environment: {} }
  const entry = await cached(
    `redis-debian-${process.arch}`,
    (directory) => unpack(directory, say, signal),
    signal,
  )
  return {
    command: path.join(entry, 'usr', 'bin', 'redis-server'),
    environment: { LD_LIBRARY_PATH: await libraryPath(entry) },
  }
}
