/** The folder of downloads that all checkouts share. An entry is either complete or absent: it is renamed into place last. */
import { createHash } from 'node:crypto'
import { access, mkdir, mkdtemp, rename, rm, chmod } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import path from 'node:path'
import { isRoot } from './account.js'
import { withLock } from './lock.js'

/** Where downloads are kept. Not below /root, since PostgreSQL runs as another user and could not read it there. */
const cacheDirectory = (): string => {
  const { ONCEBOX_CACHE: own, XDG_CACHE_HOME: cacheHome } = process.env
  if (own !== undefined && own !== '') return path.resolve(own)
  if (isRoot()) return '/var/cache/oncebox'
  return path.join(
    cacheHome !== undefined && cacheHome !== '' ? cacheHome : path.join(homedir(), '.cache'),
    'oncebox',
  )
}

/** A short stable name for some text, e.g. of a pom, so that a change of it makes a new entry. */
export const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

const exists = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  )

/**
 * The folder of the cache entry `name`, filled by `fill` the first time. Two processes that need it at once fill it
 * once: the second waits for the first. A crash half-way leaves only a temporary folder, never a broken entry.
 */
export const cached = async (
  name: string,
  fill: (directory: string) => Promise<void>,
  signal?: AbortSignal,
): Promise<string> => {
  const root = cacheDirectory()
  const entry = path.join(root, name)
  if (await exists(entry)) return entry
  await mkdir(root, { recursive: true })
  const lockSocket = path.join(tmpdir(), `oncebox-${digest(entry)}-${process.getuid?.()}.lock`)
  return withLock(
    lockSocket,
    async () => {
      if (await exists(entry)) return entry
      const partial = await mkdtemp(path.join(root, `.${name}-`))
      try {
        await chmod(partial, 0o755)
        await fill(partial)
        await rename(partial, entry)
      } finally {
        await rm(partial, { recursive: true, force: true })
      }
      return entry
    },
    signal,
  )
}
