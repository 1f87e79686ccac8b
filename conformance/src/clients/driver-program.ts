import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The Node that runs the suite. */
export const ourNode = { program: process.execPath, nodeVersion: process.version } as const

/** The program in `drivers/` that plays the client. */
export const driverProgram = (name: string): string =>
  fileURLToPath(new URL(`../drivers/${name}.js`, import.meta.url))

/** Of a package that this one depends on, as installed. */
export async function installedVersion(packageName: string): Promise<string> {
  let directory = path.dirname(createRequire(import.meta.url).resolve(packageName))
  for (;;) {
    const text = await readFile(path.join(directory, 'package.json'), 'utf8').catch(() => '{}')
    const { name, version } = JSON.parse(text) as { name?: string; version?: string }
    if (name === packageName && version !== undefined) return version
    if (directory === path.dirname(directory)) throw new Error(`${packageName} is not installed`)
    directory = path.dirname(directory)
  }
}
