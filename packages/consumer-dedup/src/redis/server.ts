import { OutboxError } from '@oncebox/core'
import type { RedisLoss } from './memory.js'
import { within, type RedisClient } from './script.js'

/** What a server said of itself. */
export interface Looked {
  readonly version: string
  /** Names one run of the server process. */
  readonly run: string
  /** Whether everything is on disk before it is answered, so that a restart loses nothing. */
  readonly durable: boolean
  readonly loss: RedisLoss | undefined
}

const versionMin: readonly [number, number] = [6, 2]

/** @throws OutboxError CONSUMER_REDIS_UNSUPPORTED */
export function assertSupported({ version, run }: Pick<Looked, 'version' | 'run'>): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const isNewEnough = major > versionMin[0] || (major === versionMin[0] && minor >= versionMin[1])
  if (!isNewEnough)
    throw new OutboxError(
      'CONSUMER_REDIS_UNSUPPORTED',
      `Redis ${version || 'of an unknown version'} is older than ${versionMin.join('.')}`,
      { details: { version } },
    )
  if (!/^[0-9a-f]{40}$/.test(run))
    throw new OutboxError(
      'CONSUMER_REDIS_UNSUPPORTED',
      'this Redis does not tell its run_id (INFO server): nobody would notice when it is replaced',
      { details: { version } },
    )
}

/** Where CONFIG is not allowed, as with many providers, and in a cluster, the answer is no. */
export async function readDurable(redis: RedisClient, timeoutMs: number): Promise<boolean> {
  if (redis.isCluster) return false
  try {
    const settings = await within({ timeoutMs }, redis.call('CONFIG', 'GET', '*append*'))
    return isDurable(settings)
  } catch {
    return false
  }
}

/** Of the answer to `CONFIG GET *append*`: names and values in turn. */
export function isDurable(settings: unknown): boolean {
  if (!Array.isArray(settings)) return false
  const valueOf = (name: string): unknown => settings[settings.indexOf(name) + 1]
  return (
    settings.includes('appendonly') &&
    valueOf('appendonly') === 'yes' &&
    valueOf('appendfsync') === 'always' &&
    // With yes, nothing is synchronised while a rewrite or a snapshot runs, whatever appendfsync says.
    valueOf('no-appendfsync-on-rewrite') === 'no'
  )
}
