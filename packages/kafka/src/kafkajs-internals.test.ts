import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { kafkajsVersion } from './kafkajs-internals.js'

test('the installed kafkajs is the one whose internals the types describe', () => {
  const installed: unknown = createRequire(import.meta.url)('kafkajs/package.json')
  expect(installed).toMatchObject({ version: kafkajsVersion })
})

test('one file reaches into kafkajs, and nothing but its connections', async () => {
  const root = fileURLToPath(new URL('../../..', import.meta.url))
  const reaching: string[] = []
  for (const folder of ['packages', 'internal', 'examples', 'bench']) {
    const entries = await readdir(path.join(root, folder), { recursive: true, withFileTypes: true })
    for (const { name, parentPath } of entries) {
      const file = path.join(parentPath, name)
      if (!/\.(ts|mts|js|mjs)$/.test(name) || /node_modules|[\\/]dist[\\/]/.test(file)) continue
      const inner = [...(await readFile(file, 'utf8')).matchAll(/['"]kafkajs\/([^'"]+)['"]/g)]
      for (const [, module] of inner) reaching.push(`${path.relative(root, file)}: ${module}`)
    }
  }
  expect(reaching.toSorted()).toEqual([
    'packages/kafka/src/kafkajs-internals.test.ts: package.json',
    'packages/kafka/src/kafkajs-internals.ts: src/network/connection',
  ])
})
