import { access, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { cached, CommandError, runCommand } from '@internal/stack'
import { ClientMissing, type PrepareContext } from './client-source.js'

export const confluentVersion = '1.10.1'

const packageName = '@confluentinc/kafka-javascript'
const nodeGyp = 'node-gyp@11.5.0'
// With what its documentation calls dynamic linking, nothing is downloaded but the package: it takes the system's OpenSSL
// and zlib, and brings librdkafka along.
const environment = { CKJS_LINKING: 'dynamic' }
const remedy = 'g++, make, python3, zlib1g-dev and libssl-dev are needed'

/**
 * The folder of the package with its native part, built when it is asked for by name and kept in the cache folder from
 * then on. Not a dependency: every installation would build it, for minutes.
 *
 * @throws ClientMissing
 */
export async function buildConfluent({ wanted, say, signal }: PrepareContext): Promise<string> {
  const entry = await cached(
    `confluent-${confluentVersion}-node${process.versions.modules}-${process.arch}`,
    async (directory) => {
      if (!wanted) throw new ClientMissing('not built; --client confluent builds it')
      say(`building ${packageName} ${confluentVersion} and librdkafka (once, some minutes) ...`)
      await build(directory, signal)
    },
    signal,
  )
  return path.join(entry, 'node_modules', packageName)
}

async function build(directory: string, signal: AbortSignal): Promise<void> {
  await writeFile(path.join(directory, 'package.json'), '{ "private": true }\n')
  const inPackage = { directory: path.join(directory, 'node_modules', packageName), environment, signal }
  try {
    const install = [
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      `${packageName}@${confluentVersion}`,
    ]
    await runCommand('npm', install, { directory, signal })
    await runCommand(process.execPath, ['util/configure'], inPackage)
    await runCommand('make', ['-j2', '-C', 'deps/librdkafka', 'libs', 'install-subdirs'], inPackage)
    await runCommand('npx', ['--yes', nodeGyp, 'rebuild', '-j', '2', ...(await headersHere())], inPackage)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    throw new ClientMissing(`it cannot be built (${remedy}): ${error.message.slice(-errorTail)}`, {
      cause: error,
    })
  }
}

const errorTail = 2_000

/** The headers that came with this Node, where they did: else node-gyp downloads them. */
async function headersHere(): Promise<readonly string[]> {
  const prefix = path.dirname(path.dirname(process.execPath))
  const found = await access(path.join(prefix, 'include', 'node', 'node.h')).then(
    () => true,
    () => false,
  )
  return found ? [`--nodedir=${prefix}`] : []
}
