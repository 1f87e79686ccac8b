import { createDatabase, sharedStack } from '@internal/stack'
import { handOver, jobIdOf } from '@oncebox/bullmq'
import { Queue } from 'bullmq'
import pg from 'pg'
import { expect, test } from 'vitest'
import { connect, newEvent, openQueue, redelivery, runProgram, work } from './fixture.js'

const mail = { name: 'mail', data: { to: 'ada' }, redelivery } as const

test('a handler that is killed between the job and its COMMIT, six times, makes one job for each event', async () => {
  await using database = await createDatabase({
    template: {
      name: `hand-over-${process.pid}`,
      prepare: async (url) => {
        const pool = new pg.Pool({ connectionString: url })
        await pool.query('create table marks (id text primary key); create table mails_to_send (id text)')
        await pool.end()
      },
    },
  })
  const queue = openQueue()
  const ids = Array.from({ length: 20 }, () => newEvent().id)
  const settings = {
    url: database.url,
    redisUrl: sharedStack().redis.url,
    queue: queue.name,
    source: 'order-service',
    ids,
  }
  for (let kill = 0; kill < 6; kill += 1) {
    const fault = `bullmq.job.added@${1 + (kill % 3)}:kill`
    expect(await runProgram('hand-over', settings, fault).ended).toBe('SIGKILL')
  }
  expect(await runProgram('hand-over', settings).ended).toBe(null)

  const jobs = await queue.getJobs(['wait', 'delayed', 'active', 'completed', 'failed'])
  const expected = ids.map((id) => jobIdOf({ source: 'order-service', id }))
  expect(jobs.map(({ id = '' }) => id).sort()).toEqual(expected.sort())
  expect(await queue.getWaitingCount()).toBe(20)
  const pool = new pg.Pool({ connectionString: database.url })
  const { rows } = await pool.query<{ id: string }>('select id from mails_to_send')
  await pool.end()
  expect(rows.map(({ id }) => id).sort()).toEqual([...ids].sort())
})

test('an event that comes again finds its job, waiting, done or failed, and adds none', async () => {
  const queue = openQueue()
  const [done, failed] = [newEvent(), newEvent()]
  let runs = 0
  const add = async (): Promise<void> => {
    await handOver(queue, done, mail)
    await handOver(queue, failed, { ...mail, data: { to: 'nobody' } })
  }
  await add()
  await add() // waiting
  expect(await queue.getWaitingCount()).toBe(2)
  const worker = work(queue, (job) => {
    runs += 1
    return job.data.to === 'nobody' ? Promise.reject(new Error('no such mailbox')) : Promise.resolve()
  })
  await expect
    .poll(async () => [await queue.getCompletedCount(), await queue.getFailedCount()])
    .toEqual([1, 1])
  await add()
  // A job behind them that is done proves that nothing else was waiting.
  await handOver(queue, newEvent(), mail)
  await expect.poll(() => queue.getCompletedCount()).toBe(2)
  expect(runs).toBe(3)
  await worker.close()

  // What worker and queue would remove is kept as well: a job's own options win.
  const job = await queue.getJob(jobIdOf(done))
  expect(job?.opts).toMatchObject({ removeOnComplete: { age: 60 }, removeOnFail: { age: 60 } })
})

test('a job that would be forgotten while its event can come again is refused', async () => {
  const queue = openQueue()
  const week = { topicRetentionMs: 7 * 86_400_000 }
  const tooShort = handOver(queue, newEvent(), { ...mail, redelivery: week, keepMs: 13 * 86_400_000 })
  await expect(tooShort).rejects.toMatchObject({
    code: 'CONSUMER_DEDUP_WINDOW_TOO_SHORT',
    details: { neededMs: 14 * 86_400_000 },
  })
  expect(await queue.getWaitingCount()).toBe(0)
  const event = newEvent()
  await handOver(queue, event, { ...mail, redelivery: { topicRetentionMs: -1 } })
  const job = await queue.getJob(jobIdOf(event))
  expect(job?.opts).toMatchObject({ removeOnComplete: false, removeOnFail: false }) // for ever
})

test('a Redis that is away is told within the bound, and the handler can roll back', async () => {
  const queue = new Queue('mails', { connection: connect('redis://127.0.0.1:1') })
  queue.on('error', () => undefined)
  await expect(handOver(queue, newEvent(), mail, { timeoutMs: 200 })).rejects.toMatchObject({
    code: 'CONSUMER_REDIS_UNAVAILABLE',
    retriable: true,
  })
  const reason = new Error('revoked')
  await expect(handOver(queue, newEvent(), mail, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})
