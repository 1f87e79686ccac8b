import { once } from 'node:events'
import { expect, test } from 'vitest'
import { connectTo, portsOf, Sandbox } from './command.js'

test('services die, and their files are deleted, when the process that started them is killed with SIGKILL', async () => {
  await using sandbox = await Sandbox.create()
  const holder = sandbox.holder(['postgres', 'kafka', 'redis'])
  const services = await Promise.all(portsOf(await sandbox.firstLine(holder)).map(connectTo))
  expect(services).toHaveLength(3)

  holder.kill('SIGKILL')

  await Promise.all(services.map(({ closed }) => closed))
  await sandbox.empty()
})

test('services die when the process that started them is interrupted while they start', async () => {
  await using sandbox = await Sandbox.create()
  const holder = sandbox.holder(['postgres'])
  await once(holder, 'spawn')

  holder.kill('SIGKILL')

  await sandbox.empty()
})
