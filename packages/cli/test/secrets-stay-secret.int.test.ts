import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, randomName, sharedStack, type TestDatabase } from '@internal/stack'
import { migrateOutbox } from '@oncebox/outbox'

const program = fileURLToPath(new URL('../bin/oncebox.js', import.meta.url))
const canary = 'canary-of-a-password-7f3a'
let database: TestDatabase
let directory: string

beforeAll(async () => {
  database = await createDatabase()
  await migrateOutbox(database.url)
  directory = await mkdtemp(path.join(tmpdir(), 'oncebox-secrets-'))
})
afterAll(async () => {
  await database.drop()
  await rm(directory, { recursive: true, force: true })
})

function withPassword(change: (url: URL) => void = () => undefined): string {
  const url = new URL(database.url)
  url.password = canary
  change(url)
  return url.href
}

const environment = (databaseUrl: string, brokers: string): Readonly<Record<string, string | undefined>> => ({
  PATH: process.env['PATH'],
  ONCEBOX_DATABASE_URL: databaseUrl,
  ONCEBOX_RELAY_NAME: randomName('secrets'),
  ONCEBOX_KAFKA_BROKERS: brokers,
  ONCEBOX_HTTP_PORT: '0',
  ONCEBOX_LOG_LEVEL: 'trace',
})

async function oncebox(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve(`${error === null ? 0 : String(error.code)} ${stdout}${stderr}`),
    )
  })
}

const verbs = [['status'], ['lag'], ['dead-letters', 'list'], ['migrate']]
const troubles: readonly [string, () => string][] = [
  ['a server that refuses connections', () => withPassword((url) => (url.port = '9'))],
  ['a host that does not exist', () => withPassword((url) => (url.hostname = 'no-such-host.invalid'))],
  ['a database that does not exist', () => withPassword((url) => (url.pathname = '/no-such-database'))],
  ['an address that is none', () => withPassword().replace(/:\d+\//, ':not-a-port/')],
]

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return String(typeof address === 'object' ? address?.port : address)
}

test.for(troubles)('the password of the database is in no error about %s', async ([, url]) => {
  const env = environment(url(), sharedStack().kafka.brokers.join(','))
  for (const verb of verbs)
    for (const args of [verb, [...verb, '--json']]) {
      const output = await oncebox(args, env)
      expect(output.startsWith('0 '), `${args.join(' ')}: ${output}`).toBe(false)
      expect(output).not.toContain(canary)
    }
})

test('passwords of the database and of Kafka are in no log, metric or report of a relay that runs', async () => {
  const port = await freePort()
  const child = spawn(process.execPath, [program, 'relay'], {
    env: { ...environment(withPassword(), sharedStack().kafka.brokers.join(',')), ONCEBOX_HTTP_PORT: port },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const opened = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        if (output.includes('shard opened')) resolve()
      })
  })
  await opened
  try {
    for (const page of ['metrics', 'readyz', 'healthz'])
      output += await (await fetch(`http://127.0.0.1:${port}/${page}`)).text()
  } finally {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  expect(output).toContain('oncebox_relay_ready')
  expect(output).not.toContain(canary)
})

test('the password of Kafka is in no error of a relay that Kafka does not let in', async () => {
  const file = path.join(directory, 'relay.mjs')
  await writeFile(
    file,
    `export default {
      kafka: {
        brokers: ${JSON.stringify(sharedStack().kafka.brokers)},
        sasl: { mechanism: 'plain', username: 'u', password: '${canary}' },
      },
      startTimeoutMs: 3000,
    }`,
  )
  const output = await oncebox(['relay', '--config', file], {
    ...environment(withPassword(), ''),
    ONCEBOX_KAFKA_BROKERS: undefined,
  })
  expect(output.startsWith('0 '), output).toBe(false)
  expect(output).not.toContain(canary)
})
