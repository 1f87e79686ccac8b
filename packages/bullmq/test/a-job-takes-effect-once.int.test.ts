import { randomName, sharedStack } from '@internal/stack'
import { handOver, jobIdOf, onceProcessor } from '@oncebox/bullmq'
import { createRedisDedup } from '@oncebox/consumer-dedup/redis'
import type { FaultPoint } from '@oncebox/core'
import { expect, test } from 'vitest'
import { connect, hourMs, newEvent, openDedup, openQueue, redelivery, runProgram, work } from './fixture.js'

const mail = { name: 'mail', data: { to: 'ada' }, redelivery } as const

const points: FaultPoint[] = ['redis.claimed', 'redis.effect.done', 'redis.finish.sent']

test.each(points)(
  'a worker that is killed at %s, three times: every mail is sent, and no second one in secret',
  async (point) => {
    const redis = connect()
    const queue = openQueue()
    const consumer = randomName('mailer')
    await openDedup(consumer)
    const sentKey = randomName('sent')
    const sent = async (): Promise<{ id: string; takenOver: boolean }[]> =>
      (await redis.lrange(sentKey, 0, -1)).map((line) => JSON.parse(line))
    const events = Array.from({ length: 6 }, newEvent)
    for (const event of events) await handOver(queue, event, mail)

    const settings = { redisUrl: sharedStack().redis.url, queue: queue.name, consumer, sent: sentKey }
    for (let kill = 0; kill < 3; kill += 1)
      expect(await runProgram('worker', settings, `${point}@1:kill`).ended).toBe('SIGKILL')
    const last = runProgram('worker', settings)
    await expect.poll(() => queue.getCompletedCount(), { timeout: 60_000, interval: 200 }).toBe(6)
    last.kill('SIGTERM')
    expect(await last.ended).toBe(null)

    expect(new Set((await sent()).map(({ id }) => id))).toEqual(new Set(events.map(({ id }) => id)))
    const second = (await sent()).filter(({ takenOver }) => takenOver)
    const doubled = (await sent()).length - events.length
    if (point === 'redis.claimed') expect(doubled).toBe(0)
    if (point === 'redis.effect.done') expect(doubled).toBe(3)
    // Each that may be the second says so, and has the event's id for the mail service to see it by.
    expect(doubled).toBeLessThanOrEqual(second.length)
    expect(await queue.getFailedCount()).toBe(0)
  },
  90_000,
)

test('a job whose event is held by somebody else waits for them, and that costs it no attempt', async () => {
  const queue = openQueue()
  const dedup = await openDedup()
  const event = newEvent()
  await handOver(queue, event, mail)
  let runs = 0
  const worker = work(
    queue,
    onceProcessor(dedup, () => {
      runs += 1
      return Promise.resolve('sent')
    }),
  )
  await dedup.once(event, async () => {
    await expect.poll(() => queue.getDelayedCount(), { timeout: 10_000 }).toBe(1)
  })
  await expect.poll(() => queue.getCompletedCount(), { timeout: 10_000 }).toBe(1)
  await worker.close()
  const job = await queue.getJob(jobIdOf(event))
  expect({ runs, attempts: job?.attemptsMade, failed: await queue.getFailedCount() }).toEqual({
    runs: 0, // done by the other
    attempts: 1,
    failed: 0,
  })
})

test('a job waits while Redis has lost its memory, without an attempt, until somebody accepts', async () => {
  const redis = connect()
  const queue = openQueue()
  const consumer = randomName('mailer')
  const dedup = createRedisDedup({ redis, consumer, retentionMs: hourMs, onAmnesia: 'stop' })
  const event = newEvent()
  await handOver(queue, event, mail)
  const worker = work(
    queue,
    onceProcessor(dedup, (job, { event: { id } }) => Promise.resolve(`${job.data.to} ${id}`), {
      retryMs: 200,
    }),
  )
  await expect.poll(() => queue.getDelayedCount(), { timeout: 10_000, interval: 20 }).toBe(1)
  expect(await queue.getFailedCount()).toBe(0)
  await dedup.accept()
  await expect.poll(() => queue.getCompletedCount(), { timeout: 10_000 }).toBe(1)
  await worker.close()
  const job = await queue.getJob(jobIdOf(event))
  expect({ result: job?.returnvalue, attempts: job?.attemptsMade }).toEqual({
    result: `ada ${event.id}`,
    attempts: 1,
  })
})

test('a processor that throws costs an attempt, as ever, and the next attempt may run', async () => {
  const queue = openQueue()
  const dedup = await openDedup()
  const event = newEvent()
  await handOver(queue, event, { ...mail, options: { attempts: 3, backoff: 10 } })
  let runs = 0
  work(
    queue,
    onceProcessor(dedup, () => {
      runs += 1
      return runs < 3 ? Promise.reject(new Error('mailbox full')) : Promise.resolve('sent')
    }),
  )
  await expect.poll(() => queue.getCompletedCount(), { timeout: 10_000 }).toBe(1)
  expect(runs).toBe(3)
})

test('a job that handOver() did not make is refused, not taken for some event', async () => {
  const queue = openQueue()
  const dedup = await openDedup()
  await queue.add('mail', { to: 'ada' }, { jobId: 'by-hand' })
  work(
    queue,
    onceProcessor(dedup, () => Promise.resolve()),
  )
  await expect.poll(() => queue.getFailedCount(), { timeout: 10_000 }).toBe(1)
  const job = await queue.getJob('by-hand')
  expect(job?.failedReason).toContain('was not made of an event')
})
