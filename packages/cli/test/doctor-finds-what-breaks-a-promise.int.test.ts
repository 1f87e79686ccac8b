import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { expect, test } from 'vitest'
import { createDatabase, createNamedTopic, createTopic, randomName, startKafkaCluster } from '@internal/stack'
import { fromPg, migrateOutbox } from '@oncebox/outbox'
import type { Finding } from '@oncebox/relay'

const program = fileURLToPath(new URL('../bin/oncebox.js', import.meta.url))

// Each defect is made on real servers, found, and gone when what doctor says has been done.
test('each defect is told with what mends it, and a sound installation has none', async () => {
  await using kafka = await startKafkaCluster()
  await using database = await createDatabase()
  const pool = new pg.Pool({ connectionString: database.url })
  await migrateOutbox(fromPg(pool))
  const name = randomName('doctor')
  const role = randomName('relay')
  await pool.query(`create role "${role}" login`)
  const url = new URL(database.url)
  url.username = role
  const environment = {
    PATH: process.env['PATH'],
    ONCEBOX_RELAY_NAME: name,
    ONCEBOX_DATABASE_URL: url.href,
    ONCEBOX_KAFKA_BROKERS: kafka.brokers.join(','),
  }
  const doctor = async (): Promise<{ code: number; defects: Finding[] }> => {
    const { code, findings } = await run(environment)
    return { code, defects: findings.filter(({ level }) => level !== 'ok') }
  }
  const mend = async (check: string): Promise<void> => {
    const { defects } = await doctor()
    const fix = defects.find((defect) => defect.check === check)?.fix
    expect(fix, JSON.stringify(defects)).toBeDefined()
    await pool.query(fix?.replace(/ --.*/, '') ?? '')
  }

  // No privileges but to see that there is a schema.
  await pool.query(
    `grant usage on schema outbox to "${role}"; grant select on outbox.migrations to "${role}"`,
  )
  expect((await doctor()).defects).toContainEqual(
    expect.objectContaining({
      check: 'database.privileges',
      level: 'error',
      message: expect.stringContaining('select on outbox.events') as string,
    }),
  )
  await mend('database.privileges')
  expect(await doctor()).toMatchObject({ code: 0, defects: [{ check: 'progress.exists', level: 'warning' }] })

  await pool.query('alter sequence outbox.events_seq cache 20')
  expect((await doctor()).code).toBe(1)
  await mend('database.sequence')
  await pool.query('alter table outbox.windows_2 set unlogged')
  await mend('database.logged')
  await pool.query('alter table outbox.life set logged')
  await mend('database.life')
  expect(await doctor()).toMatchObject({ code: 0, defects: [{ check: 'progress.exists' }] })

  // Topics: one that is not there, one that a single broker keeps, and a position that Kafka would remove.
  const weak = await createTopic('weak', {
    brokers: kafka.brokers,
    replicationFactor: 1,
    config: { 'min.insync.replicas': '1', 'unclean.leader.election.enable': 'true' },
  })
  const strong = await createTopic('strong', { brokers: kafka.brokers })
  for (const topic of ['no-such-topic', weak, strong])
    await pool.query(`select outbox.emit('test', $1, 'test.happened', 'key', '{}')`, [topic])
  await createNamedTopic(`${name}.progress`, {
    brokers: kafka.brokers,
    config: { 'cleanup.policy': 'compact,delete' },
  })
  const { code, defects } = await doctor()
  expect(code).toBe(1)
  expect(new Set(defects.map(({ check }) => check))).toEqual(
    new Set([
      'progress.compaction',
      'topic.exists',
      'topic.replication',
      'topic.min-insync',
      'topic.unclean-election',
    ]),
  )
  expect(defects.filter(({ message }) => message.includes(strong))).toEqual([])

  await pool.query(`drop owned by "${role}"; drop role "${role}"`)
  await pool.end()
})

test('what cannot be reached is a finding, not the end of the look', async () => {
  const { code, findings } = await run({
    PATH: process.env['PATH'],
    ONCEBOX_RELAY_NAME: 'x',
    ONCEBOX_DATABASE_URL: 'postgres://127.0.0.1:9/x',
    ONCEBOX_KAFKA_BROKERS: '127.0.0.1:9',
  })
  expect(code).toBe(1)
  expect(findings.map(({ check, level }) => [check, level])).toEqual([
    ['database', 'error'],
    ['kafka', 'error'],
  ])
})

async function run(
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ code: number; findings: readonly Finding[] }> {
  return await new Promise((resolve, reject) => {
    execFile(process.execPath, [program, 'doctor', '--json'], { env }, (error, stdout, stderr) => {
      if (stdout === '') return reject(new Error(stderr))
      // What the command writes.
      resolve({
        code: error === null ? 0 : Number(error.code),
        findings: JSON.parse(stdout) as readonly Finding[],
      })
    })
  })
}
