/** Debian's packages, downloaded and unpacked into a folder, which needs no root and installs nothing. */
import { mkdir, readdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { CommandError, runCommand } from '../run-command.js'

/**
 * Downloads and unpacks `packages` into `directory`.
 * @throws CommandError; its `missing` is true where there is no apt-get
 */
export const unpackPackages = async (
  directory: string,
  packages: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> => {
  await withPackageLists(directory, signal, (options) =>
    runCommand('apt-get', [...options, 'download', ...packages], { directory, signal }),
  )
  for (const file of await readdir(directory)) {
    if (file.endsWith('.deb')) await runCommand('dpkg', ['-x', file, '.'], { directory, signal })
  }
}

/** The package and what it needs that is not installed here, by apt's own reckoning. */
export const neededPackages = async (
  directory: string,
  name: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> => {
  const uris = await withPackageLists(directory, signal, (options) =>
    runCommand(
      'apt-get',
      [
        ...options,
        '-o',
        'Debug::NoLocking=1',
        '--print-uris',
        '--yes',
        '--no-install-recommends',
        'install',
        name,
      ],
      { directory, signal },
    ),
  )
  // 'http://…/libpq5_15.18-0+deb12u1_amd64.deb' libpq5_15.18-0+deb12u1_amd64.deb 191052 SHA256:…
  const found = [...uris.matchAll(/^'[^']+' ([^_\s]+)_\S+\.deb /gm)].map(([, needed = '']) => needed)
  return found.length === 0 ? [name] : found
}

/** The folders of the libraries in a folder that packages were unpacked into, as LD_LIBRARY_PATH takes them. */
export const libraryPath = async (directory: string): Promise<string> => {
  const libraries = path.join(directory, 'usr', 'lib')
  const folders = (await readdir(libraries).catch(() => [])).filter((name) => name.includes('-linux-'))
  return folders.map((name) => path.join(libraries, name)).join(':')
}

const withPackageLists = async (
  directory: string,
  signal: AbortSignal | undefined,
  work: (options: readonly string[]) => Promise<string>,
): Promise<string> => {
  try {
    return await work([])
  } catch (error) {
    if (!(error instanceof CommandError) || error.missing) throw error
    // No package lists, or old ones. Ours go to the same folder: an ordinary user may not write the system's.
    const lists = path.join(directory, 'lists')
    await mkdir(path.join(lists, 'partial'), { recursive: true })
    const options = ['-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${path.join(directory, 'apt')}`]
    await mkdir(path.join(directory, 'apt', 'archives', 'partial'), { recursive: true })
    await runCommand('apt-get', [...options, 'update'], { directory, signal })
    const answer = await work(options)
    await rm(lists, { recursive: true, force: true })
    return answer
  }
}
