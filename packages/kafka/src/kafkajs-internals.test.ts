import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { kafkajsVersion } from './kafkajs-internals.js'

test('the installed kafkajs is the one whose internals the types describe', () => {
  const installed: unknown = createRequire(import.meta.url)('kafkajs/package.json')
  expect(installed).toMatchObject({ version: kafkajsVersion })
})
