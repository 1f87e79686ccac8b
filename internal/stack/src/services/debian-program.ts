/** A server program: the installed one, else Debian's packages unpacked into the cache, which needs no root. */
import { access } from 'node:fs/promises'
import path from 'node:path'
import { cached } from '../cache.js'
import type { Say } from '../progress.js'
import { CommandError, runCommand } from '../run-command.js'
import { StackError, type StackErrorCode } from '../stack-error.js'
import { libraryPath, unpackPackages } from './debian-packages.js'

export interface DebianProgram {
  readonly command: string
  /** Where its packages put it. */
  readonly file: readonly string[]
  /** With the libraries that a small installation of Debian lacks. */
  readonly packages: readonly string[]
  /** When it is not installed, and there is no apt-get. */
  readonly missing: StackErrorCode
}

/** How to run it here. */
export const findProgram = async (
  { command, file, packages, missing }: DebianProgram,
  say: Say,
  signal?: AbortSignal,
): Promise<{ readonly command: string; readonly environment: Readonly<Record<string, string>> }> => {
  if (await isOnPath(command, signal)) return { command, environment: {} }
  const entry = await cached(
    `${command}-debian-${process.arch}`,
    async (directory) => {
      say(`downloading ${command} from Debian's packages (once) ...`)
      try {
        await unpackPackages(directory, packages, signal)
        await access(path.join(directory, ...file))
      } catch (cause) {
        if (!(cause instanceof CommandError)) throw cause
        if (cause.missing)
          throw new StackError(missing, `there is neither \`${command}\` nor \`apt-get\` on PATH`, { cause })
        const message = `${command} could not be downloaded\n${cause.output}\n`
        throw new StackError('STACK_DOWNLOAD_FAILED', message, { cause })
      }
    },
    signal,
  )
  return {
    command: path.join(entry, ...file),
    environment: { LD_LIBRARY_PATH: await libraryPath(entry) },
  }
}

const isOnPath = async (command: string, signal: AbortSignal | undefined): Promise<boolean> => {
  try {
    await runCommand(command, ['--version'], { signal })
    return true
  } catch (error) {
    if (error instanceof CommandError) return false
    throw error
  }
}
