import { outputOf } from '../child-output.js'

// The first that @platformatic/kafka 2.12.1 runs on: it throws on Node 20.
const oldest = { major: 22, minor: 22 }
const nodePackage = 'node@22.23.3'

/** A Node that @platformatic/kafka runs on: this one, or else the `node` package's, which npx keeps in its cache. */
export async function newerNode(signal: AbortSignal): Promise<string> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > oldest.major || (major === oldest.major && minor >= oldest.minor)) return process.execPath
  const output = await outputOf({
    name: `npx --package=${nodePackage}`,
    program: 'npx',
    arguments: ['--yes', `--package=${nodePackage}`, '--', 'node', '-p', 'process.execPath'],
    signal,
  })
  return output.trim()
}
