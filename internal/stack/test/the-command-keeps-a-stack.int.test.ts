import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sharedStack } from '@internal/stack'
import { expect, test } from 'vitest'
import { connectTo, portsOf, Sandbox } from './command.js'

const nobody = { uid: 65534, gid: 65534 }
const isRoot = process.getuid?.() === 0

test('up starts the services once, status finds them, down ends them', async () => {
  await using sandbox = await Sandbox.create()
  const startedAt = performance.now()
  const up = await sandbox.stack(['up'])
  const upMs = performance.now() - startedAt
  expect(up).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("export ONCEBOX_STACK_POSTGRES_URL='postgres://"),
  })
  expect(upMs).toBeLessThan(30_000)

  const again = await sandbox.stack(['up'])
  expect(again).toMatchObject({
    code: 0,
    stdout: up.stdout,
    stderr: expect.stringMatching(/^already running/),
  })

  const { running, pid, addresses } = JSON.parse((await sandbox.stack(['status', '--json'])).stdout)
  expect(running).toBe(true)
  const services = await Promise.all(portsOf(addresses).map(connectTo))
  expect(services).toHaveLength(3)
  const shared = portsOf(sharedStack().addresses)
  expect(portsOf(addresses).filter((port) => shared.includes(port))).toEqual([]) // two stacks at once
  expect(pid).not.toBe(process.pid)

  expect(await sandbox.stack(['down'])).toMatchObject({ code: 0 })
  await Promise.all(services.map(({ closed }) => closed))
  expect(await sandbox.stack(['status'])).toMatchObject({ code: 3, stderr: 'not running\n' })
  await sandbox.empty()
})

test('a supervisor that is killed with SIGKILL leaves nothing behind that is in the way', async () => {
  await using sandbox = await Sandbox.create()
  const environment = { ONCEBOX_STACK_KAFKA_BROKERS: '127.0.0.1:1', ONCEBOX_STACK_KAFKA_CLASSPATH: 'none' }
  await sandbox.stack(['up'], environment)
  const { pid, addresses } = JSON.parse((await sandbox.stack(['status', '--json'])).stdout)
  const services = await Promise.all(
    [addresses.postgres.port, Number(new URL(addresses.redis.url).port)].map(connectTo),
  )

  process.kill(pid, 'SIGKILL')

  await Promise.all(services.map(({ closed }) => closed))
  expect(await sandbox.stack(['status'])).toMatchObject({ code: 3 })
  expect(await sandbox.stack(['up'], environment)).toMatchObject({ code: 0 })
})

test.runIf(isRoot)('an ordinary user needs nothing installed or owned by root', async () => {
  await using sandbox = await Sandbox.create(nobody)
  const home = await mkdtemp(path.join(sandbox.directory, 'home-'))
  const cache = path.join(home, '.cache', 'oncebox')
  await mkdir(cache, { recursive: true })
  // Kafka was downloaded for the shared stack; PostgreSQL and Redis are fetched by this user.
  const known = path.join(sharedStack().kafka.classpath, '..', '..', '..')
  for (const name of await readdir(known)) {
    if (name.startsWith('kafka-')) await symlink(path.join(known, name), path.join(cache, name))
  }
  await sandbox.own(home)

  const up = await sandbox.stack(['up'], { HOME: home, XDG_CACHE_HOME: '' })

  expect(up).toMatchObject({ code: 0, stdout: expect.stringContaining('ONCEBOX_STACK_REDIS_URL') })
  await sandbox.stack(['down'])
})

test('a missing Java is told in one sentence, and nothing is left running', async () => {
  await using sandbox = await Sandbox.create()
  const programs = await mkdtemp(path.join(tmpdir(), 'stack-path-'))
  const up = await sandbox.stack(['up'], { PATH: programs, JAVA_HOME: '' })
  await rm(programs, { recursive: true })

  expect(up.code).toBe(1)
  expect(up.stdout).toBe('')
  expect(up.stderr.split('\n').filter((line) => line.startsWith('stack:'))).toEqual([
    'stack: Kafka needs Java 17 or newer, and `java` does not run: install Java 17 or newer (Debian: apt-get install openjdk-17-jre-headless)',
  ])
  await sandbox.empty()
})
