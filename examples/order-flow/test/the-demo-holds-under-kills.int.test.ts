import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const program = fileURLToPath(new URL('../dist/demo/main.js', import.meta.url))

/** Starts the demo as a person would, on the stack of the tests. */
const start = (...args: string[]) => {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = once(child, 'close').then(([code]: unknown[]) => code)
  /** Resolves when the demo has written this. */
  const said = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec(output)
      if (match !== null) return match
      if (
        (await Promise.race([
          once(child.stdout, 'data'),
          once(child.stderr, 'data'),
          exited.then(() => 'over'),
        ])) === 'over'
      )
        throw new Error(output)
    }
  }
  return { child, exited, said, output: () => output }
}

const childrenOf = async (pid: number): Promise<number[]> => {
  const ps = spawn('ps', ['-A', '-o', 'pid=,ppid='])
  let list = ''
  ps.stdout.on('data', (chunk: Buffer) => (list += chunk.toString()))
  await once(ps, 'close')
  return list.split('\n').flatMap((line) => {
    const [child, parent] = line.trim().split(/\s+/).map(Number)
    return child !== undefined && parent === pid ? [child] : []
  })
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('the demo', () => {
  test(
    'loses, doubles, reorders and invents nothing while its processes are killed',
    { timeout: 240_000 },
    async () => {
      const directory = await mkdtemp(path.join(tmpdir(), 'order-flow-test-'))
      const json = path.join(directory, 'result.json')
      const demo = start('--orders', '150', '--kills', '9', '--seed', '3', '--json', json)
      expect(await demo.exited, demo.output()).toBe(0)
      const zeros = { lost: 0, duplicated: 0, reordered: 0, phantom: 0, misplaced: 0, corrupt: 0, crashes: 0 }
      const result: unknown = JSON.parse(await readFile(json, 'utf8'))
      expect(result).toMatchObject({ ok: true, drained: true, orders: 150, kills: 9, seed: 3, ...zeros })
      // Each once: the worker between a mail and its job, too.
      expect(result).toMatchObject({ killsOf: { 'notification-service': 1, 'mail-worker': 1 } })
      expect(demo.output()).toContain('Every promise held.')
      await rm(directory, { recursive: true })
    },
  )

  test('leaves no process behind when it is killed itself', { timeout: 120_000 }, async () => {
    const demo = start('--orders', '1000', '--no-faults')
    await demo.said(/placed [1-9]/)
    const children = await childrenOf(demo.child.pid ?? 0)
    expect(children.length).toBeGreaterThanOrEqual(9)
    demo.child.kill('SIGKILL')
    await demo.exited
    await expect.poll(() => children.filter(isAlive), { timeout: 10_000 }).toEqual([])
  })

  test.each([
    [['--orders', 'many'], '--orders is "many": give a whole number from 1 to 100000'],
    [['--orders', '0'], '--orders is "0": give a whole number from 1 to 100000'],
    [['--no-faults', '--kills', '3'], '--no-faults and --kills exclude each other: leave one out'],
    [['--ordres', '3'], "Unknown option '--ordres'; `pnpm demo --help` lists the options"],
    [['orders'], '`pnpm demo --help` lists the options'],
  ])('answers %j with a sentence that says what to do', async (args, sentence) => {
    const demo = start(...args)
    expect(await demo.exited).toBe(2)
    expect(demo.output()).toContain(sentence)
    expect(demo.output().trim().split('\n')).toHaveLength(1)
  })
})
