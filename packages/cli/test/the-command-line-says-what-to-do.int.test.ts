import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createDatabase } from '@internal/stack'

const program = fileURLToPath(new URL('../bin/oncebox.js', import.meta.url))

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function oncebox(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, ...args],
      { env: { PATH: process.env['PATH'], ...env } },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
      },
    )
  })
}

test('no command is wrong use, --help is not', async () => {
  const [none, help] = await Promise.all([oncebox([]), oncebox(['--help'])])
  expect([none.code, help.code]).toEqual([2, 0])
  expect(help.stdout).toBe(none.stdout)
  expect(help.stdout).toContain('oncebox migrate')
})

test.for([
  [['migrat'], 'there is no command "migrat"'],
  [['migrate', '--databse', 'x'], "Unknown option '--databse'"],
  [['migrate'], 'ONCEBOX_DATABASE_URL'],
  [['migrate', '--database', 'postgres://x', '--only', 'inbx'], 'it must be outbox or inbox'],
  [['relay'], 'ONCEBOX_RELAY_NAME'],
  [['reshard'], 'give --shards N'],
  [['reshard', '--shards', 'many'], 'a whole number from 1 to 256'],
  [['reshard', '--shards', '2', '--lane', '=2'], 'it names no topic'],
  [['verify', '--since', 'soon'], '--since soon: it must be a date, or a time with its zone'],
  [['adopt', '--torn', 'both'], '--torn both: it must be commit or abort'],
  [['status'], 'no database: give --database URL'],
  [['tail', '--topics', 'x'], "Unknown option '--topics'"],
  [['lag', '--max-ms', 'soon'], '--max-ms soon: it must be a whole number'],
  [['relay', '--config', 'no-such-file.js'], 'no-such-file.js cannot be loaded'],
] as const)('%j ends with 2 and a sentence', async ([args, sentence]) => {
  const { code, stderr } = await oncebox(args)
  expect(code).toBe(2)
  expect(stderr).toContain(sentence)
  expect(stderr).not.toContain('    at ')
})

test('a server that cannot be reached ends with 3, a database that does not exist with 1, and each says what to do', async () => {
  await using database = await createDatabase()
  const missing = new URL(database.url)
  missing.pathname = '/no_such_database'
  const [unreachable, unknown] = await Promise.all([
    oncebox(['migrate'], { ONCEBOX_DATABASE_URL: 'postgres://127.0.0.1:1/x' }),
    oncebox(['migrate'], { ONCEBOX_DATABASE_URL: missing.href }),
  ])
  expect([unreachable.code, unknown.code]).toEqual([3, 1])
  for (const { stderr } of [unreachable, unknown]) expect(stderr).toContain('what to do')
})

test('migrate may be run by several processes at once: each migration is applied once, by one of them', async () => {
  await using database = await createDatabase()
  const runs = await Promise.all(
    Array.from({ length: 3 }, async () => await oncebox(['migrate', '--json', '--database', database.url])),
  )
  expect(runs.map(({ code }) => code)).toEqual([0, 0, 0])
  const reports = runs
    .flatMap(({ stdout }) => stdout.trim().split('\n'))
    .map((line) => JSON.parse(line) as { schema: string; applied: number[] })
  for (const schema of ['outbox', 'inbox']) {
    const applied = reports.flatMap((report) => (report.schema === schema ? report.applied : []))
    expect(applied.length).toBeGreaterThan(0)
    expect(applied.toSorted((a, b) => a - b)).toEqual(applied.map((_, index) => index + 1))
  }
  expect((await oncebox(['migrate', '--database', database.url])).stdout).toBe(
    'outbox: up to date\ninbox: up to date\n',
  )
})
