/** A Node for programs that do not run on the one that runs the tests. */
import { runCommand } from './run-command.js'

// The first that @platformatic/kafka 2.12.1 runs on: it throws on Node 20.
const oldest = { major: 22, minor: 22 }
const nodePackage = 'node@22.23.3'

/** The path of a Node 22.22 or newer: this one, or else the `node` package's, which npx keeps in its cache. */
export const newerNode = async (signal?: AbortSignal): Promise<string> => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > oldest.major || (major === oldest.major && minor >= oldest.minor)) return process.execPath
  const program = ['--', 'node', '-p', 'process.execPath']
  return (await runCommand('npx', ['--yes', `--package=${nodePackage}`, ...program], { signal })).trim()
}
