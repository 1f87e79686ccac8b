/** PostgreSQL with all its tools (pg_dump, pg_upgrade): the installed one, else Debian's packages unpacked into the cache. */
import { access } from 'node:fs/promises'
import path from 'node:path'
import { cached } from '../cache.js'
import type { Say } from '../progress.js'
import { CommandError } from '../run-command.js'
import { StackError } from '../stack-error.js'
import { libraryPath, neededPackages, unpackPackages } from './debian-packages.js'
import type { PostgresPrograms } from './postgres-binaries.js'

/** A release of Debian has one of these. The oldest first: what is tested with it holds longest. */
const releases = [15, 16, 17, 18]

/** A server with initdb, pg_dump, pg_restore, pg_upgrade and psql, of PostgreSQL 15 as a rule. */
export const debianPostgres = async (say: Say, signal?: AbortSignal): Promise<PostgresPrograms> => {
  for (const release of releases) {
    const binDirectory = `/usr/lib/postgresql/${release}/bin`
    if (await isThere(path.join(binDirectory, 'pg_upgrade'))) return { binDirectory, environment: {} }
  }
  const entry = await cached(
    `postgres-debian-${process.arch}`,
    (directory) => unpack(directory, say, signal),
    signal,
  )
  for (const release of releases) {
    const binDirectory = path.join(entry, 'usr', 'lib', 'postgresql', String(release), 'bin')
    if (await isThere(binDirectory))
      return { binDirectory, environment: { LD_LIBRARY_PATH: await libraryPath(entry) } }
  }
  throw missing()
}

const unpack = async (directory: string, say: Say, signal: AbortSignal | undefined): Promise<void> => {
  say("downloading PostgreSQL from Debian's packages (once) ...")
  for (const release of releases) {
    const name = `postgresql-${release}`
    try {
      const needed = await neededPackages(directory, name, signal)
      await unpackPackages(directory, [...new Set([name, `postgresql-client-${release}`, ...needed])], signal)
      return
    } catch (cause) {
      if (!(cause instanceof CommandError)) throw cause
      if (cause.missing) throw missing(cause)
      // This release of Debian has another one.
      if (release === releases.at(-1))
        throw new StackError(
          'STACK_DOWNLOAD_FAILED',
          `PostgreSQL could not be downloaded\n${cause.output}\n`,
          {
            cause,
          },
        )
    }
  }
}

const missing = (cause?: CommandError): StackError =>
  new StackError('STACK_POSTGRES_TOOLS_MISSING', 'there is neither pg_upgrade nor `apt-get`', { cause })

const isThere = async (file: string): Promise<boolean> =>
  await access(file).then(
    () => true,
    () => false,
  )
